// What nodes need to read and write spreadsheets.

export { read, utils, write } from "@e965/xlsx";
