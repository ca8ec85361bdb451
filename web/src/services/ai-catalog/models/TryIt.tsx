import { Accordion, Button, CopyButton, Group, NumberInput, SimpleGrid, Skeleton, Stack, Switch, Text, TextInput, Title } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { asCurl, Problem } from "../../../api/http";
import { t } from "../../../language/text";
import { Trouble } from "../../../ui/Trouble";
import { assetOf, type ModelVersion } from "./models";
import { Predicted } from "./Predicted";
import { anyKey, type Instance, instanceOf, predict, rangeOf, served, type ServedVersion } from "./served";

interface Props {
  version: ModelVersion;
  /** The entered values, as JSON. */
  inputs: string | undefined;
  onInputs: (inputs: string | undefined) => void;
}

/** A form for the inputs of a version, and its prediction for them. */
export function TryIt({ version, inputs, onInputs }: Props) {
  const trained = assetOf(version);
  const found = useQuery({ ...served(trained?.asset ?? "", trained?.dataVersion ?? ""), enabled: trained !== null });
  if (!trained) return <Text c="dimmed">{t("The platform serves predictions of the models that it trains. Another program made this version, so download it to try it.")}</Text>;
  if (found.error) return <Trouble error={found.error} retry={() => found.refetch()} />;
  if (!found.data) return <Skeleton height={200} />;
  return <Form asset={trained.asset} served={found.data} inputs={inputs} onInputs={onInputs} />;
}

function Form({ asset, served: version, inputs, onInputs }: { asset: string; served: ServedVersion } & Omit<Props, "version">) {
  const [instance, setInstance] = useState<Instance>(() => instanceOf(inputs));
  const [explain, setExplain] = useState(true);
  const [text, setText] = useState("");
  const prediction = useMutation({ mutationFn: () => predict(asset, version.data_version, instance, explain) });
  const example = useMutation({
    mutationFn: () => anyKey(version),
    onSuccess: (key) => key && put(key),
  });
  const put = (changed: Record<string, string | number | undefined>) => {
    const next = Object.fromEntries(Object.entries({ ...instance, ...changed }).filter(([, value]) => value !== undefined && value !== "")) as Instance;
    setInstance(next);
    onInputs(Object.keys(next).length ? JSON.stringify(next) : undefined);
  };
  const problem = prediction.error instanceof Problem ? prediction.error : null;
  const fault = (name: string) => problem?.faults.find((one) => one.pointer.split("/").at(-1) === name)?.detail;
  const placed = [...version.entity_key, ...version.inputs.map((one) => one.name)].some((name) => fault(name));
  const shown = version.inputs.filter((one) => one.name.toLowerCase().includes(text.toLowerCase()));
  const entered = version.inputs.filter((one) => one.name in instance).length;
  const onSubmit = (event: FormEvent) => {
    event.preventDefault();
    prediction.mutate();
  };
  const body = { instances: [instance], version: version.data_version, explain };
  return (
    <SimpleGrid cols={{ base: 1, lg: 2 }} spacing="xl">
      <form onSubmit={onSubmit} aria-label={t("Inputs")}>
        <Stack gap="md">
          {version.entity_key.length > 0 && (
            <section aria-label={t("Entity")}>
              <Title order={2} mb={4}>{t("Entity")}</Title>
              <Text size="sm" c="dimmed" mb="xs">{t("Its features come from {entity_table}.", { entity_table: version.entity_table })}</Text>
              <Group align="flex-end" gap="sm">
                {version.entity_key.map((name) => (
                  <TextInput key={name} label={name} error={fault(name)} value={String(instance[name] ?? "")} onChange={(event) => put({ [name]: event.currentTarget.value })} flex={1} spellCheck={false} />
                ))}
                <Button variant="default" onClick={() => example.mutate()} loading={example.isPending}>{t("Use an example")}</Button>
              </Group>
              {example.error && <Trouble error={example.error} />}
            </section>
          )}
          <Accordion variant="contained" defaultValue={version.entity_key.length ? null : "inputs"}>
            <Accordion.Item value="inputs">
              <Accordion.Control>{t("{count} inputs{count2}{entered}", { count: version.inputs.length, count2: version.entity_key.length > 0 && t(", to replace those of the entity"), entered: entered > 0 && t(" ({entered} entered)", { entered }) })}</Accordion.Control>
              <Accordion.Panel>
                <Stack gap="sm">
                  <Group>
                    <TextInput size="xs" aria-label={t("Find an input")} placeholder={t("Find an input")} value={text} onChange={(event) => setText(event.currentTarget.value)} />
                    <Button size="xs" variant="default" onClick={() => put(Object.fromEntries(version.inputs.flatMap((one) => (one.median === null ? [] : [[one.name, one.median]]))))}>{t("Fill with medians")}</Button>
                    {entered > 0 && <Button size="xs" variant="subtle" onClick={() => put(Object.fromEntries(version.inputs.map((one) => [one.name, undefined])))}>{t("Empty all")}</Button>}
                  </Group>
                  <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="sm">
                    {shown.map((one) => (
                      <NumberInput
                        key={one.name}
                        label={one.name}
                        description={rangeOf(one)}
                        error={fault(one.name)}
                        value={instance[one.name] ?? ""}
                        onChange={(value) => put({ [one.name]: value === "" ? undefined : Number(value) })}
                      />
                    ))}
                  </SimpleGrid>
                </Stack>
              </Accordion.Panel>
            </Accordion.Item>
          </Accordion>
          <Switch label={t("Explain the prediction")} checked={explain} onChange={(event) => setExplain(event.currentTarget.checked)} />
          {prediction.error && !placed && <Trouble error={prediction.error} />}
          <Group>
            <Button type="submit" loading={prediction.isPending} disabled={!Object.keys(instance).length}>{t("Predict")}</Button>
            <CopyButton value={asCurl("POST", `/api/v1/ai-system/models/${asset}:predict`, { body })}>
              {({ copied, copy }) => <Button variant="subtle" color="gray" onClick={copy}>{copied ? t("Copied") : t("Copy as curl")}</Button>}
            </CopyButton>
          </Group>
        </Stack>
      </form>
      <div aria-live="polite">
        {prediction.data ? <Predicted answer={prediction.data} /> : <Text c="dimmed">{t("Enter {count}, and the version answers with a probability of {target}.", { count: version.entity_key.length ? t("an entity, inputs, or both") : t("inputs"), target: version.target })}</Text>}
      </div>
    </SimpleGrid>
  );
}
