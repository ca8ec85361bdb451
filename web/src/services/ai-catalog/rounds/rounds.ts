// Rounds of federated trainings, as rows of the tables that they are stored in.

import { queryOptions } from "@tanstack/react-query";
import { send } from "../../../api/http";
import { t } from "../../../language/text";

export interface ClientRound {
  client: string;
  train_failure: string | null;
  evaluate_failure: string | null;
  examples: number | null;
  train_loss: number | null;
  holdout_examples: number | null;
  loss: number | null;
  brier: number | null;
  auc: number | null;
  bytes_sent: number | null;
  bytes_received: number | null;
}

export interface Round {
  training: string;
  round: number;
  strategy: string;
  inputVersion: string;
  trained: number;
  overall: Partial<Record<Figure, number | null>>;
  clients: ClientRound[];
  finishedAt: string;
}

/** Figures of a client in a round, with their units. */
export const FIGURES = {
  auc: { label: t("AUC on the holdout"), unit: undefined },
  loss: { label: t("Log loss on the holdout"), unit: undefined },
  brier: { label: t("Brier score on the holdout"), unit: undefined },
  train_loss: { label: t("Log loss in training"), unit: undefined },
  examples: { label: t("Rows in training"), unit: t("rows") },
  bytes_sent: { label: t("Sent by the client"), unit: t("bytes") },
  bytes_received: { label: t("Received by the client"), unit: t("bytes") },
} as const;

export type Figure = keyof typeof FIGURES;

/** Whether a text is the id of an asset, so that it can name a table in SQL. */
export function isAssetId(text: string): boolean {
  return /^[a-z0-9_]+(\.[a-z0-9_]+){2}$/.test(text);
}

export interface Rounds {
  rounds: Round[];
  /** Data version that was read. */
  version: string;
}

interface Result {
  rows: [string, number, string, string, number, number | null, number | null, number | null, number | null, number | null, string, string][];
  inputs: { data_version: string }[];
}

export const roundsOf = (asset: string) =>
  queryOptions({
    queryKey: ["rounds", asset],
    queryFn: async ({ signal }): Promise<Rounds> => {
      const sql = `SELECT training, round, strategy, input_version, clients_trained, auc, loss, brier, train_loss, examples, client_metrics, finished_at FROM ${asset} ORDER BY finished_at`;
      const { body } = await send<Result>("POST", "/api/v1/ai-catalog/queries:run", { body: { sql, limit: 100_000 }, signal });
      return { rounds: body.rows.map(roundOf), version: body.inputs[0]?.data_version ?? "" };
    },
    enabled: isAssetId(asset),
    retry: false,
  });

function roundOf([training, round, strategy, inputVersion, trained, auc, loss, brier, train_loss, examples, clients, finishedAt]: Result["rows"][number]): Round {
  return { training, round, strategy, inputVersion, trained, overall: { auc, loss, brier, train_loss, examples }, clients: JSON.parse(clients) as ClientRound[], finishedAt };
}

/** Ids of trainings, the newest first. */
export function trainingsOf(rounds: Round[]): string[] {
  return [...new Set(rounds.map((one) => one.training).reverse())];
}

/** One line for each client over the rounds, and one for all together if the figure has a total. */
export function linesOf(rounds: Round[], figure: Figure): { name: string; points: [number, number | null][] }[] {
  const clients = [...new Set(rounds.flatMap((one) => one.clients.map((client) => client.client)))];
  const lines = clients.map((name) => ({
    name,
    points: rounds.map((one): [number, number | null] => [one.round, one.clients.find((client) => client.client === name)?.[figure] ?? null]),
  }));
  const overall = rounds.map((one): [number, number | null] => [one.round, one.overall[figure] ?? null]);
  const hasTotal = figure !== "examples" && overall.some(([, value]) => value !== null);
  return hasTotal ? [...lines, { name: t("All"), points: overall }] : lines;
}
