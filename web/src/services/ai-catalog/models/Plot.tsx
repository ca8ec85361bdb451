import { Anchor, Image, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { BASE } from "../../../api/http";
import { t } from "../../../language/text";

const TYPES: Record<string, string> = { png: "image/png", jpg: "image/jpeg", jpeg: "image/jpeg", svg: "image/svg+xml", webp: "image/webp" };

/** A plot of a run: an image, or a link to a file that isn't one. */
export function Plot({ id, path }: { id: string; path: string }) {
  const type = TYPES[path.split(".").at(-1)?.toLowerCase() ?? ""];
  const address = `${BASE}/artifact-files/${encodeURIComponent(id)}`;
  // The platform serves files without their type, so that none of them runs in its site.
  const image = useQuery({
    queryKey: ["plot", id],
    queryFn: async ({ signal }) => {
      const response = await fetch(address, { signal });
      if (!response.ok) throw new Error(t("The file can't be read ({status}).", { status: response.status }));
      return dataUrl(new Blob([await response.arrayBuffer()], { type }));
    },
    enabled: type !== undefined,
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
  });
  return (
    <Stack gap={4} component="figure" m={0}>
      {image.data && <Image src={image.data} alt={path} fit="contain" />}
      {image.error && <Text size="sm">{image.error.message}</Text>}
      <Text size="sm" component="figcaption"><Anchor size="sm" href={address} download={path.split("/").at(-1)}>{path}</Anchor></Text>
    </Stack>
  );
}

function dataUrl(blob: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}
