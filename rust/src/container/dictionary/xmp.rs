//! Packets of the XMP specification, with the usual namespaces and properties.

pub(super) const XMP: &str = "\
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
