import { Anchor, Stack, Text, Title } from "@mantine/core";
import { Link } from "@tanstack/react-router";

/** What an address without a page shows. */
export function NoPage() {
  return (
    <Stack gap="sm">
      <Title order={1}>There is no page at this address.</Title>
      <Text size="sm">It may have moved, or the link is incomplete. Press Ctrl K to find it, or begin at the <Anchor component={Link} to="/" size="sm" underline="always">home page</Anchor>.</Text>
    </Stack>
  );
}
