import { Anchor, Stack, Text, Title } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { rich, t } from "../language/text";

/** What an address without a page shows. */
export function NoPage() {
  return (
    <Stack gap="sm">
      <Title order={1}>{t("There is no page at this address.")}</Title>
      <Text size="sm">{rich("It may have moved, or the link is incomplete. Press Ctrl K to find it, or begin at the <link>home page</link>.", { link: (inside) => <Anchor component={Link} to="/" size="sm" underline="always">{inside}</Anchor> })}</Text>
    </Stack>
  );
}
