// Dragging files out of the page, into a DAW or a folder.

// `file` gives {path, name, type} of what the element stands for, or null where there is nothing to drag. Browsers
// of Chromium's family download the address to where it is dropped; other targets get the address itself. Neither
// sends this page's headers, so a service that asks for a key has no draggable files.
export function dragsOut(element, file) {
  element.draggable = true;
  element.addEventListener("dragstart", (event) => {
    const found = file();
    if (!found) {
      event.preventDefault();
      return;
    }
    const url = new URL(found.path, location.href).href;
    event.dataTransfer.effectAllowed = "copy";
    // The parts are separated by colons, which a name must therefore not have; nor slashes, as a file's name.
    event.dataTransfer.setData("DownloadURL", `${found.type}:${found.name.replace(/[:/\\]/g, "_")}:${url}`);
    event.dataTransfer.setData("text/uri-list", url);
  });
}
