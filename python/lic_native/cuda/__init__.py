"""The entropy coder on a GPU, in Triton: streams that `rust/src/ans` codes as well, byte for byte.

It is used where Triton is and where what it makes equals what Rust makes (`available.works`); elsewhere the coder in
Rust does all the work. So this room is never needed, and nothing imports Triton before something is coded on a GPU.
"""
