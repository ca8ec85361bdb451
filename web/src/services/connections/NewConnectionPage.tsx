import { Anchor, Breadcrumbs, SimpleGrid, Stack, Text, Title, UnstyledButton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { t } from "../../language/text";
import { notice } from "../../ui/notice";
import { Trouble } from "../../ui/Trouble";
import { ConnectionForm } from "./ConnectionForm";
import classes from "./NewConnectionPage.module.css";
import { connectorTypes, LIST } from "./connections";

/** Adds a connection: first its type, which is in the address, then its form. */
export function NewConnectionPage() {
  const { type }: { type?: string } = useSearch({ strict: false });
  const navigate = useNavigate();
  const types = useQuery(connectorTypes);
  const chosen = types.data?.find((one) => one.id === type);
  const choose = (id: string | undefined) => void navigate({ to: `${LIST}/new`, search: (id ? { type: id } : {}) as never });
  return (
    <Stack gap="md">
      <Breadcrumbs>
        <Anchor component={Link} to={LIST} size="sm">{t("Connections")}</Anchor>
        <Text size="sm">{t("Add a connection")}</Text>
      </Breadcrumbs>
      <div>
        <Title order={1}>{chosen ? t("Connect to {title}", { title: chosen.title }) : t("Add a connection")}</Title>
        <Text size="sm" c="dimmed">
          {chosen ? chosen.description : t("To a database or an object store. Passwords and keys are stored encrypted, and never shown.")}
          {chosen && <> <Anchor component="button" type="button" size="sm" onClick={() => choose(undefined)}>{t("Choose another type")}</Anchor></>}
        </Text>
      </div>
      {types.error && <Trouble error={types.error} retry={() => types.refetch()} />}
      {chosen ? (
        <ConnectionForm
          key={chosen.id}
          type={chosen}
          onCancel={() => void navigate({ to: LIST })}
          onDone={(saved) => {
            notice(t("The connection is created."));
            void navigate({ to: `${LIST}/${saved.id}` });
          }}
        />
      ) : (
        <SimpleGrid cols={{ base: 1, xs: 2, md: 3 }} component="ul" className={classes.types} aria-label={t("Types of connections")}>
          {types.data?.map((one) => (
            <li key={one.id}>
              <UnstyledButton className={classes.type} onClick={() => choose(one.id)}>
                <Text fw={600}>{one.title}</Text>
                <Text size="sm" c="dimmed">{one.description}</Text>
                <Text size="xs" c="dimmed" mt={4}>{one.verified ? t("Tested with {servers}", { servers: one.verified }) : t("Not tested with a server")}</Text>
              </UnstyledButton>
            </li>
          ))}
        </SimpleGrid>
      )}
    </Stack>
  );
}
