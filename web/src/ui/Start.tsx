import { Card, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { catalogues, method } from "../api/platform";
import { words } from "../api/schema";
import { Marked } from "./Marked";

/** The kinds of all services. */
export function Start() {
  const { data: found } = useQuery(catalogues);
  return (
    <Stack gap="xl">
      {(found ?? []).map((service) => {
        const kinds = service.items.filter((kind) => method(kind, "list"));
        if (!kinds.length) return null;
        return (
          <section key={service.service} aria-label={service.title}>
            <Title order={1} mb="sm">{service.title}</Title>
            <SimpleGrid cols={{ base: 1, sm: 2, lg: 3 }} spacing="sm">
              {kinds.map((kind) => (
                <Card key={kind.plural} component={Link} to={`/${service.service}/${kind.plural}`} withBorder padding="sm">
                  <Text fw={600}>{words(kind.plural)}</Text>
                  <Text size="sm" c="dimmed" lineClamp={2}><Marked text={kind.description} /></Text>
                </Card>
              ))}
            </SimpleGrid>
          </section>
        );
      })}
    </Stack>
  );
}
