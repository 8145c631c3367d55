"""Passes that threads share, programs kept as graphs, and work on many files: without a GPU, with stand-ins for it."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import jpeg_bytes, networks_alone, photograph

from lic_native import image, jpeg, threads
from lic_native.cli import batch
from lic_native.cli.task import Settings
from lic_native.coding import merging
from lic_native.coding.merging import Merger
from lic_native.cuda import graphs
from lic_native.cuda.graphs import Program, Programs
from lic_native.errors import CorruptError, LicError
from lic_native.image import codec, passes
from lic_native.image.torch_coder import TorchCoder
from lic_native.jpeg import coders, network
from lic_native.jpeg.torch_network import TorchNetwork
from lic_native.limits import DEFAULT_LIMITS, Limits
from lic_native.many import Crowd, in_order, memory, within_memory
from lic_native.models import registry

CPU = torch.device("cpu")


class Passes:
    """Work that notes its passes, of which the first waits until `count` items have come."""

    def __init__(self, count: int = 1) -> None:
        self.seen, self.open = [], threading.Event()
        self.count = count

    def __call__(self, key, items):
        if not self.seen:
            self.seen.append((key, len(items)))
            assert self.open.wait(60)
        else:
            self.seen.append((key, len(items)))
        return [-item for item in items]


def wait_for(condition) -> None:
    while not condition():
        time.sleep(0.001)


def all_at_once(merger: Merger, work: Passes, items, key="k"):
    """Bring items by threads of their own, all while the first pass is at work."""
    with ThreadPoolExecutor(len(items)) as pool:
        futures = [pool.submit(merger, key, [items[0]])]
        wait_for(lambda: work.seen)
        futures += [pool.submit(merger, key, [item]) for item in items[1:]]
        wait_for(lambda: len(merger._waiting[key]) == len(items) - 1)
        work.open.set()
        return [future.result() for future in futures]


def test_what_came_together_goes_together():
    """By powers of two, so that there are few kinds of passes."""
    work = Passes()
    merger = Merger(work, lambda key: 1)
    assert all_at_once(merger, work, list(range(8))) == [[-i] for i in range(8)]
    assert work.seen == [("k", 1), ("k", 4), ("k", 2), ("k", 1)]
    assert not merger._waiting


def test_passes_stay_within_the_memory():
    work = Passes()
    merger = Merger(work, lambda key: 100)
    with within_memory(299):
        assert memory() == 299
        assert merger("k", []) == []
        work.open.set()
        assert merger("k", [1, 2, 3, 4, 5]) == [-1, -2, -3, -4, -5]
    assert [count for _, count in work.seen] == [2, 2, 1]
    assert memory() is None and merging.room() > 299


@pytest.mark.parametrize(("patience", "passes"), [(600, [2, 1]), (0, [1, 1, 1])])
def test_a_pass_waits_a_moment_for_tiles_of_other_files(monkeypatch, patience, passes):
    """Until half of the threads at work wait for a pass: two of three."""
    monkeypatch.setattr(merging, "PATIENCE", patience)
    together, ready, seen, done = Crowd(), threading.Barrier(3), [], []

    def work(key, items):
        seen.append(len(items))
        return items

    def file(number):
        with together.at_work():
            ready.wait(60)
            if number == 1:
                wait_for(lambda: merger._waiting.get("k") if patience else seen)
            elif number == 2:
                wait_for(lambda: len(done) == 2)
            merger("k", [number])
            done.append(number)

    merger = Merger(work, lambda key: 1)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(file, range(3)))
    assert seen == passes


def test_keys_do_not_mix():
    work = Passes()
    merger = Merger(work, lambda key: 1, most=2)
    work.open.set()
    assert merger("a", [1, 2, 3]) == [-1, -2, -3] and merger("b", [4]) == [-4]
    assert work.seen == [("a", 2), ("a", 1), ("b", 1)]


def test_an_item_that_fails_is_alone_in_that():
    def work(key, items):
        if "bad" in items:
            raise CorruptError("bad")
        return items

    outcomes = Merger(work, lambda key: 1)("k", ["good", "bad", "fine", "well"])
    assert outcomes[::2] == ["good", "fine"] and outcomes[3] == "well" and isinstance(outcomes[1], CorruptError)


def test_out_of_memory_halves_the_pass():
    seen, released = [], []

    def work(key, items):
        seen.append(len(items))
        if len(items) > 2 or key == "huge":
            raise torch.cuda.OutOfMemoryError("no room")
        return items

    merger = Merger(work, lambda key: 1, lambda: released.append(1))
    assert merger("k", list(range(8))) == list(range(8))
    assert seen == [8, 4, 2, 2, 4, 2, 2] and len(released) == 3
    seen.clear()
    assert merger("k", list(range(4))) == list(range(4)) and seen == [2, 2]
    [outcome] = merger("huge", [1])
    assert isinstance(outcome, MemoryError) and "take device='cpu'" in str(outcome)


def test_an_interrupted_thread_does_not_take_others_along():
    """It gives back what it has begun for them."""
    group, begun, both = threads.Group(), threading.Event(), threading.Event()

    def work(key, items):
        if not begun.is_set():
            begun.set()
            assert both.wait(60)
            group.stop()
            threads.check()
        return items

    merger = Merger(work, lambda key: 1)

    def interrupted():
        with group.joined(), pytest.raises(KeyboardInterrupt):
            merger("k", ["mine"])

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(interrupted)
        assert begun.wait(60)
        second = pool.submit(merger, "k", ["yours"])
        wait_for(lambda: merger._waiting["k"])
        both.set()
        first.result()
        assert second.result() == ["yours"]
    assert not merger._waiting


class FakeGraph:
    """Records work instead of launches, and runs it in a replay."""

    replays = 0

    def capture(self, work):
        self.work, self.result = work, torch.zeros(2)
        return self.result

    def replay(self):
        type(self).replays += 1
        self.result.copy_(self.work())


def doubled(calls: list) -> Program:
    place = torch.zeros(2)
    return Program(place, lambda: calls.append(1) or 2 * place)


def test_programs_are_captured_at_the_second_call():
    programs, calls, made = Programs(CPU, new_graph=FakeGraph), [], []
    FakeGraph.replays = 0
    for value in range(1, 5):
        result = programs.run("a", lambda: made.append(1) or doubled(calls), lambda place, v=value: place.fill_(v))
        assert result.tolist() == [2 * value] * 2
    assert FakeGraph.replays == 3 and len(made) == 1 and len(calls) == 4 and len(programs) == 1


def test_a_capture_that_fails_leaves_plain_calls(caplog):
    class Broken(FakeGraph):
        def capture(self, work):
            raise RuntimeError("operation not permitted when stream is capturing")

    programs, calls = Programs(CPU, new_graph=Broken), []
    for value in range(4):
        assert programs.run("a", lambda: doubled(calls), lambda p, v=value: p.fill_(v)).tolist() == [2 * value] * 2
    assert caplog.text.count("not captured") == 1 and "not permitted" in caplog.text


def test_without_cuda_nothing_is_captured():
    programs, calls = Programs(CPU), []
    for _ in range(3):
        programs.run("a", lambda: doubled(calls), lambda place: place.fill_(1))
    assert len(calls) == 3


def test_the_least_recently_used_programs_go(monkeypatch):
    monkeypatch.setattr(graphs, "MOST_PROGRAMS", 2)
    programs, made = Programs(CPU), []

    def run(key):
        programs.run(key, lambda: made.append(key) or doubled([]), lambda place: None)

    for key in "abacab":
        run(key)
    assert made == ["a", "b", "c", "b"] and len(programs) == 2
    programs.clear()
    assert not len(programs)


def test_programs_stay_within_their_memory():
    taken = [0]

    def make(size):
        taken[0] += size
        return doubled([])

    programs = Programs(CPU, most_bytes=100, taken=lambda: taken[0])
    for key, size in (("a", 40), ("b", 40), ("c", 40), ("large", 500)):
        programs.run(key, lambda s=size: make(s), lambda place: None)
        assert len(programs) == {"a": 1, "b": 2, "c": 2, "large": 1}[key]


def test_results_come_in_order_and_errors_in_their_places():
    def work(i):
        if i % 3 == 1:
            raise CorruptError(str(i))
        return i

    results = list(in_order(work, iter(range(20)), 3, 10, lambda i: 1))
    assert [r for r in results if not isinstance(r, LicError)] == [i for i in range(20) if i % 3 != 1]
    assert [str(r) for r in results[1::3]] == [str(i) for i in range(1, 20, 3)]


def test_items_are_taken_as_memory_allows():
    taken = []

    def items():
        for i in range(6):
            taken.append(i)
            yield i

    results = in_order(lambda i: i, items(), 4, 25, lambda i: 10 if i < 5 else 1000)
    assert not taken
    for i, most in enumerate((3, 4, 5, 6, 6, 6)):
        assert next(results) == i and len(taken) == most


def test_other_errors_and_wrong_budgets_are_raised():
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda i: 1 // i, [1, 0], 2, 10, lambda i: 1))
    for size, error in ((-1, ValueError), ("1", TypeError)):
        with pytest.raises(error, match="memory"):
            list(in_order(lambda i: i, [1], 1, size, lambda i: 1))


def test_a_closed_generator_stops_its_work():
    begun, stopped = threading.Event(), threading.Event()

    def work(i):
        begun.set()
        try:
            while i:
                threads.check()
        except KeyboardInterrupt:
            stopped.set()
            raise
        return i

    results = in_order(work, [0, 1, 2], 2, 10, lambda i: 1)
    assert next(results) == 0 and begun.wait(60)
    results.close()
    assert stopped.is_set()


@pytest.mark.parametrize("profile", [None, "quick"])
def test_many_jpeg_files(profile):
    """The same bytes as one by one; a bad file has its error in its place."""
    photos = [jpeg_bytes(40, 48, seed) for seed in range(4)] + [b"no JPEG", b""]
    packed = list(jpeg.compress_many(iter(photos), profile=profile, device="cpu", threads=3))
    assert packed == [jpeg.compress(photo, profile=profile, device="cpu") for photo in photos]
    [other] = jpeg.compress_many(photos[:1], profile=profile, device="cpu", sha256=False, sha1=True)
    assert other == jpeg.compress(photos[0], profile=profile, device="cpu", sha256=False, sha1=True)
    damaged = [packed[0], packed[1][:-5], b"garbage", *packed[2:]]
    restored = list(jpeg.decompress_many(damaged, device="cpu"))
    assert [type(r) for r in restored[1:3]] == [type(_error(jpeg.decompress, d)) for d in damaged[1:3]]
    assert [restored[0], *restored[3:]] == [photos[0], *photos[2:]]
    assert list(jpeg.decompress_many([], device="cpu")) == []
    [refused] = jpeg.compress_many([photos[0]], device="cpu", limits=Limits(max_input_bytes=10))
    assert isinstance(refused, LicError)


def test_the_processor_tries_its_coder_while_a_gpu_works(monkeypatch):
    """The file is the same, and both coders are tried at the same time."""
    photo, both = jpeg_bytes(200, 300), threading.Barrier(2, timeout=60)
    expected = jpeg.compress(photo, profile="quick", device="cpu")

    def meeting(encode):
        def met(*arguments):
            both.wait()
            return encode(*arguments)

        return met

    monkeypatch.setattr(network.Engine, "merges", True)
    for kind in (coders.ContextCoder, network.NetworkCoder):
        monkeypatch.setattr(kind, "encode", meeting(kind.encode))
    assert jpeg.compress(photo, profile="quick", device="cpu") == expected


def _error(function, *arguments):
    with pytest.raises(LicError) as caught:
        function(*arguments)
    return caught.value


def test_many_images():
    pictures = [photograph(40, 56, seed) for seed in range(3)]
    options = {"profile": "fast", "device": "cpu", "quality": 2}
    packed = list(image.compress_many(iter(pictures), **options, threads=2))
    assert packed == [image.compress(picture, **options) for picture in pictures]
    results = list(image.decompress_many([packed[0], b"?", packed[1][:-9], packed[2]], device="cpu", threads=2))
    assert isinstance(results[1], LicError) and isinstance(results[2], LicError)
    for packed_one, shown in ((packed[0], results[0]), (packed[2], results[3])):
        assert np.array_equal(np.asarray(shown), np.asarray(image.decompress(packed_one, device="cpu")))
    [refused] = image.compress_many([pictures[0]], profile="fast", device="cpu", limits=Limits(max_pixels=10))
    assert isinstance(refused, LicError)


@pytest.mark.parametrize("many", [jpeg.compress_many, jpeg.decompress_many, image.decompress_many])
def test_arguments_of_many_are_checked(many):
    with pytest.raises(TypeError, match=r"files\[1\]"):
        list(many([b"", 7], device="cpu"))
    for wrong in ({"device": "tpu"}, {"threads": -1}, {"memory": -1}):
        with pytest.raises(ValueError):
            list(many([b""], **{"device": "cpu", **wrong}))
    with pytest.raises(TypeError):
        list(many([b""], device="cpu", limits=3))


def test_files_of_many_threads_share_the_passes_of_torch(monkeypatch):
    """A network on torch, as on CUDA; the bytes are those of single calls."""
    photos = [jpeg_bytes(40, 48, seed) for seed in range(6)]
    model, sizes = registry.load("mlcc-quick", "cpu"), []
    with networks_alone():
        alone = [jpeg.compress(photo, profile="quick", device="cpu") for photo in photos]
    shared = TorchNetwork(model)
    run = shared._passes._work
    monkeypatch.setattr(shared._passes, "_work", lambda key, items: sizes.append(len(items)) or run(key, items))
    with networks_alone():
        monkeypatch.setattr(network, "tile_coder", lambda name, device: shared)
        packed = list(jpeg.compress_many(photos, profile="quick", device="cpu", threads=6))
        assert packed == alone
        assert list(jpeg.decompress_many(packed, device="cpu", threads=6)) == photos
    assert sum(sizes) == 3 * len(photos)


def test_images_of_many_threads_share_passes(monkeypatch):
    pictures = [photograph(40, 56, seed) for seed in range(4)]
    options = {"profile": "fast", "device": "cpu"}
    expected = [image.compress(picture, **options) for picture in pictures]
    model = registry.load_image("msp-fast", "cpu")
    monkeypatch.setitem(passes._passes, model, passes.TilePasses(model))
    monkeypatch.setattr(codec, "latent_coder", TorchCoder)
    packed = list(image.compress_many(pictures, **options, threads=4))
    assert packed == expected
    assert all(not isinstance(shown, LicError) for shown in image.decompress_many(packed, device="cpu", threads=4))
    stream = passes.passes_of(model).encode(np.zeros((model.channels, 2, 2), np.int16), 64)
    with pytest.raises(LicError):
        passes.passes_of(model).decode(stream + b"\0\0", 64, (2, 2))


@pytest.mark.parametrize("profile", ["fast", "balanced", "best"])
def test_pixels_by_half_precision_differ_by_one_at_most(monkeypatch, profile):
    """As on CUDA, and latents that float16 can't hold are taken in float32."""
    for quality in (1, 8):
        packed = image.compress(photograph(64, 96), profile=profile, quality=quality, device="cpu")
        exact = np.asarray(image.decompress(packed, device="cpu")).astype(int)
        with monkeypatch.context() as patch:
            patch.setattr(codec, "gains_by_half", lambda device: True)
            halved = np.asarray(image.decompress(packed, device="cpu")).astype(int)
        difference = abs(halved - exact)
        assert difference.max() == 1 and (difference > 0).mean() < 0.1
    model = registry.load_image("msp-" + profile, "cpu")
    index, symbols = torch.tensor([0]), torch.full((1, model.channels, 2, 2), 30000.0)
    with torch.inference_mode():
        expected = model.decode(symbols, index)
        monkeypatch.setattr(codec, "gains_by_half", lambda device: True)
        assert torch.equal(codec.pixels_of(model, symbols, index), expected)


def test_the_command_works_on_more_files_where_they_share_passes(monkeypatch):
    plan = SimpleNamespace(jobs=list(range(100)))
    settings = Settings(DEFAULT_LIMITS, threads=4)
    assert batch.files_at_a_time(plan, settings) == 4
    assert batch.for_device(settings, plan, "cpu", "mlcc-fast") == settings
    monkeypatch.setattr(registry, "network_device", lambda device, name: "cuda")
    assert batch.for_device(settings, plan, "cuda", registry.NATIVE) == settings
    on_cuda = batch.for_device(settings, plan, "cuda", "mlcc-fast")
    assert batch.files_at_a_time(plan, on_cuda) == 64 and batch.threads_each(plan, on_cuda) == 4
    plan.jobs = [1]
    assert batch.for_device(settings, plan, "cuda", "mlcc-fast") == settings
