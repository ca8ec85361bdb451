import { useEffect, useState } from "react";
import { t } from "../language/text";
import { visited } from "./recent";

const NAME = t("Headwater");

/** The heading of the page at this path, as the title of the window. Each page with one is recorded as visited. */
export function usePageTitle(path: string): string {
  const [title, setTitle] = useState("");
  useEffect(() => {
    setTitle("");
    document.title = NAME;
    const read = () => {
      const heading = document.querySelector("main h1")?.textContent?.trim() ?? "";
      setTitle((before) => {
        if (heading && heading !== before) {
          document.title = `${heading} · ${NAME}`;
          visited({ path, title: heading });
        }
        return heading || before;
      });
    };
    const frame = document.querySelector("main");
    if (!frame) return undefined;
    const observer = new MutationObserver(read);
    observer.observe(frame, { childList: true, subtree: true, characterData: true });
    read();
    return () => observer.disconnect();
  }, [path]);
  return title;
}
