//! What metadata segments consist of, from their standards: Exif 2.32, the XMP specification, ICC.1, IEC 61966-2-1,
//! IPTC-IIM and Adobe's description of image resources. A part of the dictionary.

/// All of it, the most frequent last.
pub(super) fn pieces() -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(PHOTOSHOP);
    out.extend(XMP.as_bytes());
    out.extend(display_p3());
    out.extend(srgb());
    out.extend(MAKERS);
    for order in [Order::Big, Order::Little] {
        out.extend(exif(order));
    }
    out
}

/// The order of bytes in Exif.
#[derive(Clone, Copy)]
enum Order {
    Big,
    Little,
}

const ASCII: u16 = 2;
const SHORT: u16 = 3;
const LONG: u16 = 4;
const RATIONAL: u16 = 5;
const UNDEFINED: u16 = 7;
const SIGNED_RATIONAL: u16 = 10;

/// Tag, type, count and value (or, of more than four bytes, a likely offset) of a directory's entries.
type Entry = (u16, u16, u32, u32);

/// GPS information.
const GPS: &[Entry] = &[
    (0, 1, 4, 0x0202_0000),
    (1, ASCII, 2, 0x4E00_0000),
    (2, RATIONAL, 3, 0),
    (3, ASCII, 2, 0x4500_0000),
    (4, RATIONAL, 3, 0),
    (5, 1, 1, 0),
    (6, RATIONAL, 1, 0),
    (7, RATIONAL, 3, 0),
    (0x0C, ASCII, 2, 0x4B00_0000),
    (0x0D, RATIONAL, 1, 0),
    (0x10, ASCII, 2, 0x5400_0000),
    (0x11, RATIONAL, 1, 0),
    (0x12, ASCII, 7, 0),
    (0x17, ASCII, 2, 0x5400_0000),
    (0x18, RATIONAL, 1, 0),
    (0x1B, UNDEFINED, 15, 0),
    (0x1D, ASCII, 11, 0),
    (0x1F, RATIONAL, 1, 0),
];

/// Of the thumbnail.
const IFD1: &[Entry] = &[
    (0x0103, SHORT, 1, 6),
    (0x0112, SHORT, 1, 1),
    (0x011A, RATIONAL, 1, 0),
    (0x011B, RATIONAL, 1, 0),
    (0x0128, SHORT, 1, 2),
    (0x0201, LONG, 1, 0),
    (0x0202, LONG, 1, 0),
    (0x0213, SHORT, 1, 2),
];

const INTEROPERABILITY: &[Entry] = &[
    (0x0001, ASCII, 4, 0x5239_3800),
    (0x0002, UNDEFINED, 4, 0x3031_3030),
    (0x1001, SHORT, 1, 0),
    (0x1002, SHORT, 1, 0),
];

/// Exif's own.
const EXIF: &[Entry] = &[
    (0x829A, RATIONAL, 1, 0),
    (0x829D, RATIONAL, 1, 0),
    (0x8822, SHORT, 1, 2),
    (0x8827, SHORT, 1, 100),
    (0x8830, SHORT, 1, 2),
    (0x8832, LONG, 1, 100),
    (0x9000, UNDEFINED, 4, 0x3032_3231),
    (0x9003, ASCII, 20, 0),
    (0x9004, ASCII, 20, 0),
    (0x9010, ASCII, 7, 0),
    (0x9011, ASCII, 7, 0),
    (0x9012, ASCII, 7, 0),
    (0x9101, UNDEFINED, 4, 0x0102_0300),
    (0x9102, RATIONAL, 1, 0),
    (0x9201, SIGNED_RATIONAL, 1, 0),
    (0x9202, RATIONAL, 1, 0),
    (0x9203, SIGNED_RATIONAL, 1, 0),
    (0x9204, SIGNED_RATIONAL, 1, 0),
    (0x9205, RATIONAL, 1, 0),
    (0x9206, RATIONAL, 1, 0),
    (0x9207, SHORT, 1, 5),
    (0x9208, SHORT, 1, 0),
    (0x9209, SHORT, 1, 16),
    (0x920A, RATIONAL, 1, 0),
    (0x9214, SHORT, 4, 0),
    (0x927C, UNDEFINED, 0x0400, 0),
    (0x9286, UNDEFINED, 0x0108, 0),
    (0x9290, ASCII, 3, 0x3030_0000),
    (0x9291, ASCII, 3, 0x3030_0000),
    (0x9292, ASCII, 3, 0x3030_0000),
    (0xA000, UNDEFINED, 4, 0x3031_3030),
    (0xA001, SHORT, 1, 1),
    (0xA002, LONG, 1, 0),
    (0xA003, LONG, 1, 0),
    (0xA005, LONG, 1, 0),
    (0xA20E, RATIONAL, 1, 0),
    (0xA20F, RATIONAL, 1, 0),
    (0xA210, SHORT, 1, 2),
    (0xA217, SHORT, 1, 2),
    (0xA300, UNDEFINED, 1, 0x0300_0000),
    (0xA301, UNDEFINED, 1, 0x0100_0000),
    (0xA302, UNDEFINED, 8, 0),
    (0xA401, SHORT, 1, 0),
    (0xA402, SHORT, 1, 0),
    (0xA403, SHORT, 1, 0),
    (0xA404, RATIONAL, 1, 0),
    (0xA405, SHORT, 1, 0),
    (0xA406, SHORT, 1, 0),
    (0xA407, SHORT, 1, 0),
    (0xA408, SHORT, 1, 0),
    (0xA409, SHORT, 1, 0),
    (0xA40A, SHORT, 1, 0),
    (0xA40C, SHORT, 1, 0),
    (0xA420, ASCII, 33, 0),
    (0xA432, RATIONAL, 4, 0),
    (0xA433, ASCII, 6, 0),
    (0xA434, ASCII, 0, 0),
];

const IFD0: &[Entry] = &[
    (0x0100, SHORT, 1, 0),
    (0x0101, SHORT, 1, 0),
    (0x0102, SHORT, 3, 0),
    (0x0106, SHORT, 1, 2),
    (0x010E, ASCII, 32, 0),
    (0x010F, ASCII, 6, 0),
    (0x0110, ASCII, 14, 0),
    (0x0112, SHORT, 1, 1),
    (0x0115, SHORT, 1, 3),
    (0x011A, RATIONAL, 1, 0),
    (0x011B, RATIONAL, 1, 0),
    (0x0128, SHORT, 1, 2),
    (0x0131, ASCII, 20, 0),
    (0x0132, ASCII, 20, 0),
    (0x013B, ASCII, 0, 0),
    (0x0213, SHORT, 1, 2),
    (0x8298, ASCII, 0, 0),
    (0x8769, LONG, 1, 0),
    (0x8825, LONG, 1, 0),
    (0xC4A5, UNDEFINED, 0, 0),
];

/// An Exif segment with all directories. Texts and bytes count as their bytes stand, in either order.
fn exif(order: Order) -> Vec<u8> {
    let short = |value: u16| match order {
        Order::Big => value.to_be_bytes(),
        Order::Little => value.to_le_bytes(),
    };
    let long = |value: u32| match order {
        Order::Big => value.to_be_bytes(),
        Order::Little => value.to_le_bytes(),
    };
    let mut out = Vec::new();
    for directory in [GPS, INTEROPERABILITY, EXIF, IFD1, IFD0] {
        if std::ptr::eq(directory, IFD0) {
            out.extend(b"\x01\0\0\0\0\xff\xd8\xff\xe1\0\0Exif\0\0");
            out.extend(if matches!(order, Order::Big) { b"MM\0*" } else { b"II*\0" });
            out.extend(long(8));
        }
        out.extend(short(directory.len() as u16));
        for &(tag, kind, count, value) in directory {
            out.extend(short(tag));
            out.extend(short(kind));
            out.extend(long(count));
            match kind {
                SHORT => out.extend([short(value as u16), [0; 2]].concat()),
                LONG | RATIONAL | SIGNED_RATIONAL => out.extend(long(value)),
                _ => out.extend(value.to_be_bytes()),
            }
        }
        out.extend([0; 4]);
    }
    // Times, apertures, and resolutions of 350, 240, 180, 300 and 72.
    let rationals = [(1, 100), (1, 60), (28, 10), (4, 1), (350, 1), (240, 1), (180, 1), (300, 1), (72, 1)];
    for (numerator, denominator) in rationals {
        out.extend(long(numerator));
        out.extend(long(denominator));
    }
    out.extend(b"2005:01:01 12:00:00\x002010:10:20 10:30:15\0");
    out
}

const MAKERS: &[u8] = b"\
    PENTAX Corporation \0CASIO COMPUTER CO.,LTD.\0LEICA CAMERA AG\0Panasonic\0\0\0FUJIFILM\x0c\0\0\0OLYMPUS \
    IMAGING CORP.  \0OLYMPUS OPTICAL CO.,LTD\0OLYMP\0\x01\0KODAK\0EASTMAN KODAK COMPANY\0DIGITAL CAMERA\0Goo\
    gle\0Pixel \0HUAWEI\0Xiaomi\0samsung\0SAMSUNG\0SONY\0SONY DSC \0DSC-\0ILCE-\0NIKON CORPORATION\0NIKON D\
    \0Nikon\0\x02\x10\0\0MM\0*\0\0\0\x08NIKON\0COOLPIX \0Canon\0Canon EOS \0Canon DIGITAL IXUS\0Canon PowerS\
    hot \0IMG:PowerShot  JPEG\0Firmware Version 1.00\0Apple\0iPhone \0Apple iOS\0\0\x01MM\0PrintIM\x000300\0\
    \0Adobe Photoshop CS6 (Windows)\0Adobe Photoshop CC 2015 (Macintosh)\0Adobe Photoshop Lightroom 6.0 (Win\
    dows)\0Adobe Photoshop 7.0\0Adobe Photoshop CS2 Windows\0Adobe Photoshop CS3 Windows\0GIMP 2.8\0Picasa\0\
    MPF\0II*\0\x08\0\0\0\x03\0\0\xb0\x07\0\x04\0\0\x000100\x01\xb0\x04\0\x01\0\0\0\x02\0\0\0\x02\xb0\x07\0\
    \x20\0\0\0\x32\0\0\0MPF\0MM\0*\0\0\0\x08\0\x03\xb0\0\0\x07\0\0\0\x040100\xb0\x01\0\x04\0\0\0\x01\0\0\0\
    \x02\xb0\x02\0\x07\0\0\0\x20\0\0\0\x32FPXR\0\0\x01\0\0\x02ASCII\0\0\0UNICODE\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0                        ";

const XMP: &str = "\
    <?xpacket begin='\u{FEFF}' id='W5M0MpCehiHzreSzNTczkc9d'?><rdf:RDF xmlns:iX='http://ns.adobe.com/iX/1.0/\
    '>xmlns:pdf='http://ns.adobe.com/pdf/1.3/' xmlns:stRef='http://ns.adobe.com/xap/1.0/sType/ResourceRef#' \
    xmlns:xap='http://ns.adobe.com/xap/1.0/' xmlns:xapMM='http://ns.adobe.com/xap/1.0/mm/' <xapMM:DocumentID\
    >adobe:docid:photoshop:</xapMM:DocumentID></rdf:Description> xmlns:xmpRights=\"http://ns.adobe.com/xap/1\
    .0/rights/\" xmpRights:Marked=\"True\" xmlns:Iptc4xmpCore=\"http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/\
    \" xmlns:MicrosoftPhoto=\"http://ns.microsoft.com/photo/1.0/\"><MicrosoftPhoto:Rating>xmlns:GPano=\"http\
    ://ns.google.com/photos/1.0/panorama/\" xmlns:GCamera=\"http://ns.google.com/photos/1.0/camera/\" xmlns:\
    hdrgm=\"http://ns.adobe.com/hdr-gain-map/1.0/\" hdrgm:Version=\"1.0\" xmlns:Container=\"http://ns.google\
    .com/photos/1.0/container/\" xmlns:Item=\"http://ns.google.com/photos/1.0/container/item/\"<Container:Di\
    rectory><rdf:Seq><rdf:li rdf:parseType=\"Resource\"><Container:Item Item:Semantic=\"Primary\" Item:Mime=\
    \"image/jpeg\"/>xmlns:lr=\"http://ns.adobe.com/lightroom/1.0/\" xmlns:aux=\"http://ns.adobe.com/exif/1.0\
    /aux/\" aux:SerialNumber=\"\" aux:LensInfo=\" aux:Lens=\" xmlns:crs=\"http://ns.adobe.com/camera-raw-set\
    tings/1.0/\" crs:Version=\"7.0\" crs:ProcessVersion=\"6.7\" crs:WhiteBalance=\"As Shot\" crs:Exposure=\"\
    0.00\" crs:Shadows=\"0\" crs:Brightness=\"0\" crs:Contrast=\"0\" crs:Saturation=\"0\" crs:Sharpness=\"25\
    \" crs:LuminanceSmoothing=\"0\" crs:ColorNoiseReduction=\"25\" crs:HueAdjustmentRed=\"0\" crs:ToneCurveN\
    ame=\"Linear\" crs:HasSettings=\"True\" crs:HasCrop=\"False\" crs:AlreadyApplied=\"True\" xmlns:tiff=\"h\
    ttp://ns.adobe.com/tiff/1.0/\" tiff:Make=\" tiff:Model=\" tiff:Orientation=\"1\" tiff:ImageWidth=\" tiff\
    :ImageLength=\" tiff:XResolution=\"720000/10000\" tiff:YResolution=\"720000/10000\" tiff:ResolutionUnit=\
    \"2\" tiff:NativeDigest=\"256,257,258,259,262,274,277,284,530,531,282,283,296,301,318,319,529,532,306,27\
    0,271,272,305,315,33432;\" xmlns:exif=\"http://ns.adobe.com/exif/1.0/\" exif:ExifVersion=\"0221\" exif:P\
    ixelXDimension=\" exif:PixelYDimension=\" exif:ColorSpace=\"1\" exif:NativeDigest=\"36864,40960,40961,37\
    121,37122,40962,40963,37510,40964,36867,36868,33434,33437,34850,34852,34855,34856,37377,37378,37379,3738\
    0,37381,37382,37383,37384,37385,37386,37396,41483,41484,41486,41487,41488,41492,41493,41495,41728,41729,\
    41730,41985,41986,41987,41988,41989,41990,41991,41992,41993,41994,41995,41996,42016,0,2,4,5,6,7,8,9,10,1\
    1,12,13,14,15,16,17,18,20,22,23,24,25,26,27,28,30;\" xmlns:photoshop=\"http://ns.adobe.com/photoshop/1.0\
    /\" photoshop:ColorMode=\"3\" photoshop:ICCProfile=\"sRGB IEC61966-2.1\" photoshop:DateCreated=\" <photo\
    shop:Headline> <photoshop:City> <photoshop:Country> <photoshop:Credit> <photoshop:Source> xmlns:stEvt=\"\
    http://ns.adobe.com/xap/1.0/sType/ResourceEvent#\" <xmpMM:History> <rdf:Seq> <rdf:li stEvt:action=\"crea\
    ted\" stEvt:instanceID=\"xmp.iid: stEvt:when=\" stEvt:softwareAgent=\"Adobe Photoshop CS6 (Windows)\"/> \
    <rdf:li stEvt:action=\"saved\" stEvt:changed=\"/\"/> </rdf:Seq> </xmpMM:History> stEvt:action=\"converte\
    d\" stEvt:parameters=\"from image/tiff to image/jpeg\"/> stEvt:action=\"derived\" <xmpMM:DerivedFrom rdf\
    :parseType=\"Resource\"> <stRef:instanceID>uuid:</stRef:instanceID> <stRef:documentID>uuid:</stRef:docum\
    entID> </xmpMM:DerivedFrom> xmlns:dc=\"http://purl.org/dc/elements/1.1/\" dc:format=\"image/jpeg\" <dc:f\
    ormat>image/jpeg</dc:format> <dc:creator> <rdf:Seq> <rdf:li></rdf:li> </rdf:Seq> </dc:creator> <dc:subje\
    ct> <rdf:Bag> <rdf:li></rdf:li> </rdf:Bag> </dc:subject> <dc:description> <rdf:Alt> <rdf:li xml:lang=\"x\
    -default\"></rdf:li> </rdf:Alt> </dc:description> <dc:title> <dc:rights> http://ns.adobe.com/xap/1.0/\0<\
    ?xpacket begin=\"\u{FEFF}\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?> <x:xmpmeta xmlns:x=\"adobe:ns:meta/\" x:xm\
    ptk=\"Adobe XMP Core 5.0-c060 61.134777, 2010/02/12-17:32:00        \"> <x:xmpmeta xmlns:x=\"adobe:ns:me\
    ta/\" x:xmptk=\"XMP Core 5.4.0\">\n   <rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\"\
    >\n      <rdf:Description rdf:about=\"\"\n            xmlns:xmp=\"http://ns.adobe.com/xap/1.0/\"\n            \
    xmlns:xmpMM=\"http://ns.adobe.com/xap/1.0/mm/\" xmpMM:DocumentID=\"xmp.did: xmpMM:InstanceID=\"xmp.iid: \
    xmpMM:OriginalDocumentID=\" xmpMM:DocumentID=\"uuid: <xmp:CreatorTool>Adobe Photoshop CS5 Macintosh</xmp\
    :CreatorTool> xmp:CreatorTool=\" xmp:CreateDate=\"2010-01-01T12:00:00+01:00\" xmp:ModifyDate=\"2011- xmp\
    :MetadataDate=\"2012- <xmp:CreateDate> </xmp:CreateDate> <xmp:ModifyDate> </xmp:ModifyDate> <xmp:Metadat\
    aDate> </xmp:MetadataDate> xmp:Rating=\"0\">\n </rdf:Description>\n   </rdf:RDF>\n</x:xmpmeta>\n\
    \n                                                                                                    \n\
    <?xpacket end=\"w\"?><?xpacket end='w'?>";

/// Photoshop's image resources, each with its usual contents, and IPTC records.
const PHOTOSHOP: &[u8] = b"\
    \x1c\x02\0\0\x02\0\x02\x1c\x02\x05\x1c\x02\x19\x1c\x02\x37\0\x082005\x1c\x02\x50\x1c\x02\x5a\x1c\x02\x65\
    \x1c\x02\x74\x1c\x02\x78Photoshop 3.0\08BIM\x04\x25\0\0\0\0\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\08BIM\
    \x03\xed\0\0\0\0\0\x10\0\x48\0\0\0\x01\0\x01\0\x48\0\0\0\x01\0\x01\x01\x2c\0\0\0\x01\0\x01\x01\x2c\0\0\0\
    \x01\0\x018BIM\x04\x26\0\0\0\0\0\x0e\0\0\0\0\0\0\0\0\0\0\x3f\x80\0\08BIM\x04\x0d\0\0\0\0\0\x04\0\0\0\x78\
    8BIM\x04\x19\0\0\0\0\0\x04\0\0\0\x1e8BIM\x03\xf3\0\0\0\0\0\x09\0\0\0\0\0\0\0\0\x01\08BIM\x04\x0a\0\0\0\0\
    \0\x01\0\08BIM\x27\x10\0\0\0\0\0\x0a\0\x01\0\0\0\0\0\0\0\x028BIM\x03\xf5\0\0\0\0\0\x48\0\x2fff\0\x01\0lf\
    f\0\x06\0\0\0\0\0\x01\0\x2fff\0\x01\0\xa1\x99\x9a\0\x06\0\0\0\0\0\x01\0\x32\0\0\0\x01\0\x5a\0\0\0\x06\0\
    \0\0\0\0\x01\0\x35\0\0\0\x01\0\x2d\0\0\0\x06\0\0\0\0\0\x018BIM\x03\xf8\0\0\0\0\0\x70\0\0\xff\xff\xff\xff\
    \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x03\xe8\0\0\0\0\xff\xff\xff\xff\
    \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x03\xe8\0\08BIM\x04\0\0\0\0\0\0\
    \x02\0\08BIM\x04\x02\0\0\0\0\0\x02\0\08BIM\x04\x08\0\0\0\0\0\x10\0\0\0\x01\0\0\x02\x40\0\0\x02\x40\0\0\0\
    \08BIM\x04\x1e\0\0\0\0\0\x04\0\0\0\08BIM\x04\x1a\0\0\0\0\x03\x45\0\0\0\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
    \0\0\0\0\x08\0U\0n\0t\0i\0t\0l\0e\0d\0-\x001\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0\x01\0\0\0\0\0\0null\0\0\0\x02\0\0\
    \0\x06boundsObjc\0\0\0\x01\0\0\0\0\0\0Rct1\0\0\0\x04\0\0\0\0Top long\0\0\0\0\0\0\0\0Leftlong\0\0\0\0\0\0\
    \0\0Btomlong\0\0\0\0\0\0\0\0Rghtlong\0\0\0\0\0\0\0\x06slicesVlLs\0\0\0\x01Objc\0\0\0\x01\0\0\0\0\0\x05sl\
    ice\0\0\0\x12\0\0\0\x07sliceIDlong\0\0\0\0\0\0\0\x07groupIDlong\0\0\0\0\0\0\0\x06originenum\0\0\0\x0cESl\
    iceOrigin\0\0\0\x0dautoGenerated\0\0\0\0Typeenum\0\0\0\x0aESliceType\0\0\0\0Img \0\0\0\x03urlTEXT\0\0\0\
    \x01\0\0\0\0\0\0nullTEXT\0\0\0\x01\0\0\0\0\0\0MsgeTEXT\0\0\0\x01\0\0\0\0\0\x06altTagTEXT\0\0\0\x01\0\0\0\
    \0\0\x0ecellTextIsHTMLbool\x01\0\0\0\x08cellTextTEXT\0\0\0\x01\0\0\0\0\0\x09horzAlignenum\0\0\0\x0fESlic\
    eHorzAlign\0\0\0\x07default\0\0\0\x09vertAlignenum\0\0\0\x0fESliceVertAlign\0\0\0\x07default\0\0\0\x0bbg\
    ColorTypeenum\0\0\0\x11ESliceBGColorType\0\0\0\0None\0\0\0\x09topOutsetlong\0\0\0\0\0\0\0\x0aleftOutsetl\
    ong\0\0\0\0\0\0\0\x0cbottomOutsetlong\0\0\0\0\0\0\0\x0brightOutsetlong\0\0\0\0\08BIM\x04\x28\0\0\0\0\0\
    \x0c\0\0\0\x01\x3f\xf0\0\0\0\0\0\08BIM\x04\x11\0\0\0\0\0\x01\x01\08BIM\x04\x14\0\0\0\0\0\x04\0\0\0\x018B\
    IM\x04\x0c\0\0\0\0\0\0\0\0\0\x01\0\0\0\xa0\0\0\0\x78\0\0\x01\xe0\0\0\xe1\0\0\0\0\0\0\x18\0\x018BIM\x04\
    \x21\0\0\0\0\0\x53\0\0\0\x01\x01\0\0\0\x0f\0A\0d\0o\0b\0e\0 \0P\0h\0o\0t\0o\0s\0h\0o\0p\0\0\0\x13\0A\0d\
    \0o\0b\0e\0 \0P\0h\0o\0t\0o\0s\0h\0o\0p\0 \0C\0S\x002\0\0\0\x01\08BIM\x04\x06\0\0\0\0\0\x07\0\x08\0\0\0\
    \x01\x01\0\xff\xed\0\0Photoshop 3.0\08BIM\x04\x04\0\0\0\0\0\0\x1c\x02\0\0\x02\0\0";

/// Tags of a profile and their data, which are those of the tag before if there are none.
type Tags<'a> = &'a [(&'a [u8; 4], Vec<u8>)];

/// A display's profile in the first of its segments. `begin` stands before the signature: the colour management module
/// and the version; `date` has six parts; `platform` follows up to the intent, `creator` the illuminant.
fn profile(begin: &[u8; 8], date: [u16; 6], platform: &[u8], creator: &[u8; 4], tags: Tags) -> Vec<u8> {
    let mut table = (tags.len() as u32).to_be_bytes().to_vec();
    let mut data = Vec::new();
    let (mut start, mut len) = (0, 0);
    for (signature, contents) in tags {
        if !contents.is_empty() {
            start = 132 + 12 * tags.len() + data.len();
            len = contents.len();
            data.extend(contents);
            data.resize(data.len().next_multiple_of(4), 0);
        }
        table.extend(*signature);
        table.extend((start as u32).to_be_bytes());
        table.extend((len as u32).to_be_bytes());
    }
    let mut header = (128 + table.len() as u32 + data.len() as u32).to_be_bytes().to_vec();
    header.extend([&begin[..], b"mntrRGB XYZ "].concat());
    header.extend(date.iter().flat_map(|part| part.to_be_bytes()));
    header.extend([b"acsp", platform].concat());
    header.resize(68, 0);
    header.extend([0, 0, 0xF6, 0xD6, 0, 1, 0, 0, 0, 0, 0xD3, 0x2D]);
    header.extend(creator);
    header.resize(128, 0);
    [b"ICC_PROFILE\0\x01\x01", &header[..], &table, &data].concat()
}

/// Data of a type that consists of numbers of 32 bits.
fn words(kind: &[u8; 4], words: &[u32]) -> Vec<u8> {
    let words: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    [&kind[..], &[0; 4], &words].concat()
}

fn xyz(x: u32, y: u32, z: u32) -> Vec<u8> {
    words(b"XYZ ", &[x, y, z])
}

fn text(text: &[u8]) -> Vec<u8> {
    [b"text\0\0\0\0", text, b"\0"].concat()
}

/// A description in ASCII, an empty one in Unicode, and the same for the Macintosh.
fn description(text: &[u8]) -> Vec<u8> {
    let len = text.len() as u8 + 1;
    let mut out = [b"desc\0\0\0\0\0\0\0", &[len][..], text, &[0; 11], &[len], text].concat();
    out.resize(12 + text.len() + 79, 0);
    out
}

/// The transfer function of IEC 61966-2-1 at 1024 points. None is within 10^-5 of half a unit, so all machines round
/// them alike.
fn srgb_curve() -> Vec<u8> {
    let mut out = words(b"curv", &[1024]);
    for i in 0..1024 {
        let value = f64::from(i) / 1023.0;
        let linear = if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) };
        out.extend(((65535.0 * linear).round() as u16).to_be_bytes());
    }
    out
}

/// The profile that most files in sRGB carry.
fn srgb() -> Vec<u8> {
    let tags: Tags = &[
        (b"cprt", text(b"Copyright (c) 1998 Hewlett-Packard Company")),
        (b"desc", description(b"sRGB IEC61966-2.1")),
        (b"wtpt", xyz(0xF351, 0x1_0000, 0x1_16CC)),
        (b"bkpt", xyz(0, 0, 0)),
        (b"rXYZ", xyz(0x6FA2, 0x38F5, 0x390)),
        (b"gXYZ", xyz(0x6299, 0xB785, 0x18DA)),
        (b"bXYZ", xyz(0x24A0, 0xF84, 0xB6CF)),
        (b"dmnd", description(b"IEC http://www.iec.ch")),
        (b"dmdd", description(b"IEC 61966-2.1 Default RGB colour space - sRGB")),
        (b"vued", description(b"Reference Viewing Condition in IEC61966-2.1")),
        (b"view", words(b"view", &[0x13_A4FE, 0x14_5F2E, 0x10_CF14, 0x3_EDCC, 0x4_130B, 0x3_5C9E, 1])),
        (b"lumi", xyz(0x4C_0956, 0x50_0000, 0x57_1FE7)),
        (b"meas", words(b"meas", &[1, 0, 0, 0, 0, 0x28F, 2])),
        (b"tech", b"sig \0\0\0\0CRT ".to_vec()),
        (b"rTRC", srgb_curve()),
        (b"gTRC", vec![]),
        (b"bTRC", vec![]),
    ];
    profile(b"Lino\x02\x10\0\0", [1998, 2, 9, 6, 49, 0], b"MSFT\0\0\0\0IEC sRGB", b"HP  ", tags)
}

/// Display P3 as parameters, as telephones write it.
fn display_p3() -> Vec<u8> {
    let curve = words(b"para", &[0x3_0000, 0x2_6666, 0xF2A7, 0xD59, 0x13D0, 0xA5B]);
    let unicode = |text: &str| {
        let len = (2 * text.len() as u32).to_be_bytes();
        let text: Vec<u8> = text.bytes().flat_map(|c| [0, c]).collect();
        [words(b"mluc", &[1, 12]), b"enUS".to_vec(), len.to_vec(), 28u32.to_be_bytes().to_vec(), text]
            .concat()
    };
    let adaptation = [0x1_0C42, 0x5DE, 0xFFFF_F326, 0x793, 0xFD90, 0xFFFF_FBA2, 0xFFFF_FDA3, 0x3DC, 0xC06E];
    let tags: Tags = &[
        (b"desc", unicode("Display P3")),
        (b"cprt", unicode("Copyright Apple Inc., 2017")),
        (b"wtpt", xyz(0xF6D5, 0x1_0000, 0xD32C)),
        (b"rXYZ", xyz(0x83DF, 0x3DBF, 0xFFFF_FFBB)),
        (b"gXYZ", xyz(0x4ABF, 0xB137, 0xAB9)),
        (b"bXYZ", xyz(0x2838, 0x110B, 0xC8B9)),
        (b"rTRC", curve),
        (b"chad", words(b"sf32", &adaptation)),
        (b"bTRC", vec![]),
        (b"gTRC", vec![]),
    ];
    profile(b"appl\x04\0\0\0", [2017, 7, 7, 13, 22, 32], b"APPL\0\0\0\0APPL", b"appl", tags)
}
