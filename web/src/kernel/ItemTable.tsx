import { Anchor, Checkbox, Skeleton, UnstyledButton } from "@mantine/core";
import { useVirtualizer } from "@tanstack/react-virtual";
import { Link } from "@tanstack/react-router";
import { type RefObject, useEffect, useRef } from "react";
import { type Schema, type Schemas, valueAt } from "../api/schema";
import { Value } from "../fields/Value";
import { columnTitle, fieldAt, widthOf } from "./columns";
import classes from "./ItemTable.module.css";

export type ItemOfList = Record<string, unknown>;

interface Props {
  label: string;
  items: ItemOfList[];
  columns: string[];
  /** Columns that the list can be ordered by. */
  orders: string[];
  order?: string;
  onOrder: (name: string) => void;
  item: Schema | undefined;
  schemas: Schemas;
  rowHeight: number;
  busy: boolean;
  /** The address of an item's page. Without one, items have no page. */
  pageOf?: (id: string) => string;
  selected?: Set<string>;
  onSelect: (selected: Set<string>) => void;
  /** The row that the keyboard is at. */
  current: number;
  onCurrent: (index: number) => void;
  onPeek: (id: string) => void;
  onEnd: () => void;
  box: RefObject<HTMLDivElement | null>;
}

const CHECK = 36;

export function idOf(item: ItemOfList): string {
  return String(item.id ?? item.name);
}

/** The rows of a list. Only those on the screen are drawn, and the next ones are read before the end is reached. */
export function ItemTable(props: Props) {
  const { items, columns, rowHeight, current, onEnd, selected, box } = props;
  const virtual = useVirtualizer({ count: items.length, getScrollElement: () => box.current, estimateSize: () => rowHeight, overscan: 12 });
  const rows = virtual.getVirtualItems();
  const before = rows[0]?.start ?? 0;
  const last = rows.at(-1);
  const after = virtual.getTotalSize() - (last?.end ?? 0);
  const isNearEnd = last !== undefined && last.index >= items.length - 60;
  useEffect(() => {
    if (isNearEnd) onEnd();
  }, [isNearEnd, onEnd]);
  const moved = useRef(current);
  useEffect(() => {
    if (current < 0 || moved.current === current) return;
    moved.current = current;
    virtual.scrollToIndex(current);
    // The row is drawn after the scroll.
    requestAnimationFrame(() => box.current?.querySelector<HTMLElement>(`[data-index="${current}"]`)?.focus({ preventScroll: true }));
  }, [current, virtual, box]);
  const fields = columns.map((name) => fieldAt(props.item, name, props.schemas));
  const widths = columns.map((name, number) => widthOf(name, fields[number]));
  const width = widths.reduce((sum, one) => sum + one, selected ? CHECK : 0);
  const span = columns.length + (selected ? 1 : 0);
  const toggle = (id: string) => {
    const changed = new Set(selected);
    if (!changed.delete(id)) changed.add(id);
    props.onSelect(changed);
  };
  return (
    <div ref={box} className={classes.box} tabIndex={0} role="region" aria-label={props.label}>
      <table className={classes.table} style={{ width }} aria-busy={props.busy} aria-rowcount={items.length + 1}>
        <colgroup>
          {selected && <col style={{ width: CHECK }} />}
          {widths.map((one, number) => <col key={columns[number]} style={{ width: one }} />)}
        </colgroup>
        <thead>
          <tr aria-rowindex={1}>
            {selected && (
              <th>
                <Checkbox
                  size="xs"
                  aria-label="Select all that are shown"
                  checked={items.length > 0 && selected.size === items.length}
                  indeterminate={selected.size > 0 && selected.size < items.length}
                  onChange={() => props.onSelect(selected.size === items.length ? new Set() : new Set(items.map(idOf)))}
                />
              </th>
            )}
            {columns.map((name) => (
              <th key={name} scope="col" aria-sort={sorting(props.order, name)} title={columnTitle(name)}>
                {props.orders.includes(name) ? (
                  <UnstyledButton fz="sm" fw={600} onClick={() => props.onOrder(name)}>{columnTitle(name)} {arrow(props.order, name)}</UnstyledButton>
                ) : columnTitle(name)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {before > 0 && <tr aria-hidden style={{ height: before }}><td colSpan={span} /></tr>}
          {rows.map((row) => {
            const one = items[row.index] as ItemOfList;
            const id = idOf(one);
            return (
              <tr
                key={id}
                className={classes.row}
                style={{ height: rowHeight }}
                data-index={row.index}
                aria-rowindex={row.index + 2}
                aria-selected={selected?.has(id) || row.index === current}
                tabIndex={-1}
                onClick={(event) => {
                  if ((event.target as HTMLElement).closest("a, button, input, label")) return;
                  props.onCurrent(row.index);
                  props.onPeek(id);
                }}
              >
                {selected && <td><Checkbox size="xs" aria-label={`Select ${String(one.name ?? id)}`} checked={selected.has(id)} onChange={() => toggle(id)} /></td>}
                {columns.map((name, position) => (
                  <td key={name}>
                    {position === 0 && props.pageOf ? (
                      <Anchor component={Link} to={props.pageOf(id)} size="sm">{String(valueAt(one, name) ?? id)}</Anchor>
                    ) : (
                      <Value value={valueAt(one, name)} field={fields[position]} compact />
                    )}
                  </td>
                ))}
              </tr>
            );
          })}
          {after > 0 && <tr aria-hidden style={{ height: after }}><td colSpan={span} /></tr>}
        </tbody>
      </table>
    </div>
  );
}

/** Rows to come. They appear only where an answer takes its time. */
export function TableSkeleton() {
  return <div aria-hidden>{Array.from({ length: 8 }, (_, number) => <Skeleton key={number} height={28} mb={8} />)}</div>;
}

function sorting(order: string | undefined, name: string): "ascending" | "descending" | "none" {
  if (order === name) return "ascending";
  return order === `${name} desc` ? "descending" : "none";
}

function arrow(order: string | undefined, name: string): string {
  return { ascending: "↑", descending: "↓", none: "" }[sorting(order, name)];
}
