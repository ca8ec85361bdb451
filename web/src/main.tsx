import { loadLanguage } from "./language/text";

// Modules have texts in their constants, so they are read when the language is there. For English it always is.
void loadLanguage().then(() => import("./app"));
