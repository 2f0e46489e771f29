// What kind of a file something is: by its name, or by its first bytes.

const OFFICE = "application/vnd.openxmlformats-officedocument";

// The first extension of a type is that of files without a name.
const TYPES = {
  "application/gzip": ["gz"],
  "application/json": ["json"],
  "application/msword": ["doc"],
  "application/octet-stream": ["bin"],
  "application/pdf": ["pdf"],
  "application/rtf": ["rtf"],
  "application/vnd.ms-excel": ["xls"],
  "application/vnd.ms-powerpoint": ["ppt"],
  [`${OFFICE}.presentationml.presentation`]: ["pptx"],
  [`${OFFICE}.spreadsheetml.sheet`]: ["xlsx"],
  [`${OFFICE}.wordprocessingml.document`]: ["docx"],
  "application/xml": ["xml"],
  "application/zip": ["zip"],
  "audio/mp4": ["m4a"],
  "audio/mpeg": ["mpga", "mp3"],
  "audio/ogg": ["oga", "ogg"],
  "audio/wav": ["wav"],
  "image/bmp": ["bmp"],
  "image/gif": ["gif"],
  "image/heic": ["heic"],
  "image/jpeg": ["jpg", "jpeg"],
  "image/png": ["png"],
  "image/svg+xml": ["svg"],
  "image/tiff": ["tif", "tiff"],
  "image/vnd.microsoft.icon": ["ico"],
  "image/webp": ["webp"],
  "message/rfc822": ["eml"],
  "text/calendar": ["ics"],
  "text/css": ["css"],
  "text/csv": ["csv"],
  "text/html": ["html", "htm"],
  "text/javascript": ["js"],
  "text/markdown": ["md"],
  "text/plain": ["txt", "log"],
  "text/tab-separated-values": ["tsv"],
  "text/xml": [],
  "text/yaml": ["yaml", "yml"],
  "video/mp2t": ["ts"],
  "video/mp4": ["mp4"],
  "video/quicktime": ["mov"],
  "video/webm": ["webm"],
};

const STARTS = [
  [/^\x89PNG\r\n\x1a\n/, "image/png", "png"],
  [/^\xff\xd8\xff/, "image/jpeg", "jpg"],
  [/^GIF8/, "image/gif", "gif"],
  [/^RIFF[^]{4}WEBP/, "image/webp", "webp"],
  [/^BM/, "image/bmp", "bmp"],
  [/^%PDF/, "application/pdf", "pdf"],
  [/^PK\x03\x04/, "application/zip", "zip"],
  [/^\x1f\x8b/, "application/gzip", "gz"],
  [/^OggS/, "audio/ogg", "ogg"],
  [/^\xff[\xfb\xf3\xf2]/, "audio/mpeg", "mp3"],
  [/^[^]{4}ftyp/, "video/mp4", "mp4"],
];

function typeOfName(fileName = "") {
  const extension = extensionOf(fileName).toLowerCase();
  return extension && Object.keys(TYPES).find((type) => TYPES[type].includes(extension));
}

const extensionOf = (name) => /\.([^.]*)$/.exec(name)?.[1] ?? "";

const essence = (mimeType) => mimeType.split(";")[0].trim().toLowerCase();
const usualExtension = (mimeType) => (essence(mimeType) === "text/xml" ? "xml" : (TYPES[essence(mimeType)]?.[0] ?? ""));

/** Return the file of bytes (a text of letters up to \xff), as items have it in `binary`. */
export function fileOfBytes(bytes, { fileName, mimeType }) {
  const [, found, foundExtension] = STARTS.find(([start]) => start.test(bytes)) ?? [];
  const byContent = mimeType || typeOfName(fileName) ? undefined : found;
  const type = mimeType ?? (typeOfName(fileName) || found || "text/plain");
  const usual = byContent ? foundExtension : mimeType ? usualExtension(mimeType) : "";
  const name = fileName?.split("/").at(-1) ?? (usual ? `file.${usual}` : "file");
  return {
    data: btoa(bytes),
    mimeType: type,
    fileName: name,
    ...present("fileExtension", extensionOf(name) || usual),
    ...present("fileType", kindOf(type)),
    fileSize: sizeText(bytes.length),
    bytes: bytes.length,
  };
}

const present = (name, value) => (value ? { [name]: value } : {});

function kindOf(mimeType) {
  const type = essence(mimeType);
  if (type === "application/json") return "json";
  if (type === "text/html") return "html";
  if (type === "application/pdf") return "pdf";
  return /^(image|audio|video|text)\//.exec(type)?.[1] ?? "";
}

function sizeText(count) {
  const units = ["B", "kB", "MB", "GB"];
  let [size, unit] = [count, 0];
  for (; size >= 1000 && unit < 3; unit += 1) size /= 1000;
  return `${Number(size.toPrecision(3))} ${units[unit]}`;
}
