import { Skeleton, UnstyledButton } from "@mantine/core";
import { useVirtualizer } from "@tanstack/react-virtual";
import { memo, type RefObject, useCallback, useEffect, useMemo, useRef } from "react";
import { type Field, type Schema, type Schemas, valueAt } from "../api/schema";
import { Value } from "../fields/Value";
import { t } from "../language/text";
import { RowLink } from "../ui/RowLink";
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
  const { onSelect, onCurrent, onPeek } = props;
  const fields = useMemo(() => columns.map((name) => fieldAt(props.item, name, props.schemas)), [columns, props.item, props.schemas]);
  const widths = columns.map((name, number) => widthOf(name, fields[number]));
  const width = widths.reduce((sum, one) => sum + one, selected ? CHECK : 0);
  const span = columns.length + (selected ? 1 : 0);
  const toggle = useCallback(
    (id: string) => {
      const changed = new Set(selected);
      if (!changed.delete(id)) changed.add(id);
      onSelect(changed);
    },
    [selected, onSelect],
  );
  const open = useCallback(
    (index: number, id: string) => {
      onCurrent(index);
      onPeek(id);
    },
    [onCurrent, onPeek],
  );
  return (
    <div ref={box} className={classes.box} tabIndex={0} role="region" aria-label={props.label}>
      <table className={classes.table} style={{ width }} aria-busy={props.busy} aria-rowcount={items.length + 1}>
        <colgroup>
          {selected && <col style={{ width: CHECK }} />}
          {widths.map((one, number) => <col key={columns[number]} style={{ width: one }} />)}
        </colgroup>
        <Head items={items} columns={columns} orders={props.orders} order={props.order} onOrder={props.onOrder} selected={selected} onSelect={onSelect} />
        <tbody>
          {before > 0 && <tr aria-hidden style={{ height: before }}><td colSpan={span} /></tr>}
          {rows.map((row) => {
            const one = items[row.index] as ItemOfList;
            const id = idOf(one);
            const isSelected = selected?.has(id);
            return (
              <Row
                key={id}
                {...{ id, columns, fields, isSelected }}
                item={one}
                index={row.index}
                height={rowHeight}
                isCurrent={row.index === current}
                page={props.pageOf?.(id)}
                onToggle={toggle}
                onOpen={open}
              />
            );
          })}
          {after > 0 && <tr aria-hidden style={{ height: after }}><td colSpan={span} /></tr>}
        </tbody>
      </table>
    </div>
  );
}

// Scrolling draws the table again, but neither its head nor the rows that were there.
const Head = memo(function Head({ items, columns, orders, order, onOrder, selected, onSelect }: Pick<Props, "items" | "columns" | "orders" | "order" | "onOrder" | "selected" | "onSelect">) {
  return (
    <thead>
      <tr aria-rowindex={1}>
        {selected && (
          <th>
            <input
              type="checkbox"
              className={classes.check}
              ref={(box) => {
                if (box) box.indeterminate = selected.size > 0 && selected.size < items.length;
              }}
              aria-label={t("Select all that are shown")}
              checked={items.length > 0 && selected.size === items.length}
              onChange={() => onSelect(selected.size === items.length ? new Set() : new Set(items.map(idOf)))}
            />
          </th>
        )}
        {columns.map((name) => (
          <th key={name} scope="col" aria-sort={sorting(order, name)} title={columnTitle(name)}>
            {orders.includes(name) ? (
              <UnstyledButton fz="sm" fw={600} onClick={() => onOrder(name)}>{columnTitle(name)} {arrow(order, name)}</UnstyledButton>
            ) : columnTitle(name)}
          </th>
        ))}
      </tr>
    </thead>
  );
});

interface RowProps {
  id: string;
  item: ItemOfList;
  index: number;
  columns: string[];
  fields: (Field | undefined)[];
  height: number;
  /** Undefined if no row can be selected. */
  isSelected: boolean | undefined;
  isCurrent: boolean;
  page: string | undefined;
  onToggle: (id: string) => void;
  onOpen: (index: number, id: string) => void;
}

const Row = memo(function Row({ id, item, index, columns, fields, height, isSelected, isCurrent, page, onToggle, onOpen }: RowProps) {
  return (
    <tr
      className={classes.row}
      style={{ height }}
      data-index={index}
      aria-rowindex={index + 2}
      aria-selected={isSelected || isCurrent}
      tabIndex={-1}
      onClick={(event) => {
        if (!(event.target as HTMLElement).closest("a, button, input, label")) onOpen(index, id);
      }}
    >
      {isSelected !== undefined && <td><input type="checkbox" className={classes.check} aria-label={t("Select {name}", { name: String(item.name ?? id) })} checked={isSelected} onChange={() => onToggle(id)} /></td>}
      {columns.map((name, position) => (
        <td key={name}>
          {position === 0 && page ? (
            <RowLink to={page}>{String(valueAt(item, name) ?? id)}</RowLink>
          ) : (
            <Value value={valueAt(item, name)} field={fields[position]} compact />
          )}
        </td>
      ))}
    </tr>
  );
});

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
