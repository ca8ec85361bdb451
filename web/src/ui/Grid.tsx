import { Text, UnstyledButton } from "@mantine/core";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type CSSProperties, memo, type ReactNode, useCallback, useMemo, useRef, useState } from "react";
import classes from "./Grid.module.css";
import { compared, isNumeric, shown, widths } from "./cells";

export interface GridColumn {
  name: string;
  /** Shown beside the name, such as the type of the values. */
  note?: string;
}

interface Props {
  /** Name of the table for screen readers. */
  label: string;
  columns: GridColumn[];
  /** Values of each row, in the order of the columns. */
  rows: unknown[][];
  maxHeight?: CSSProperties["maxHeight"];
  /** Draws a value of a column. Undefined draws it as text. */
  render?: (value: unknown, column: number) => ReactNode | undefined;
}

interface Order {
  column: number;
  descending: boolean;
}

const ROW = 28;

/** A table of any number of rows, of which only those on the screen are drawn. A click on a column sorts by it. */
export function Grid({ label, columns, rows, maxHeight = "60dvh", render }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const [order, setOrder] = useState<Order | null>(null);
  const sorted = useMemo(() => {
    if (!order) return rows;
    const sign = order.descending ? -1 : 1;
    return [...rows].sort((one, other) => sign * compared(one[order.column], other[order.column]));
  }, [rows, order]);
  const sizes = useMemo(() => widths(columns, rows), [columns, rows]);
  const numeric = useMemo(() => columns.map((_, column) => isNumeric(rows, column)), [columns, rows]);
  const virtual = useVirtualizer({ count: sorted.length, getScrollElement: () => box.current, estimateSize: () => ROW, overscan: 12 });
  const items = virtual.getVirtualItems();
  const before = items[0]?.start ?? 0;
  const after = virtual.getTotalSize() - (items.at(-1)?.end ?? 0);
  const sort = useCallback((column: number) => setOrder((now) => (now?.column !== column ? { column, descending: false } : now.descending ? null : { column, descending: true })), []);
  return (
    <div ref={box} className={classes.box} style={{ maxHeight }} tabIndex={0} role="region" aria-label={label}>
      <table className={classes.table} aria-rowcount={rows.length + 1} style={{ width: sizes.reduce((sum, width) => sum + width, 0) }}>
        <colgroup>{sizes.map((width, column) => <col key={columns[column]?.name ?? column} style={{ width }} />)}</colgroup>
        <Head columns={columns} numeric={numeric} order={order} onSort={sort} />
        <tbody>
          {before > 0 && <tr aria-hidden style={{ height: before }}><td colSpan={columns.length} /></tr>}
          {items.map((item) => <Row key={item.key} index={item.index} values={sorted[item.index]} columns={columns} numeric={numeric} render={render} />)}
          {after > 0 && <tr aria-hidden style={{ height: after }}><td colSpan={columns.length} /></tr>}
        </tbody>
      </table>
    </div>
  );
}

interface HeadProps {
  columns: GridColumn[];
  numeric: boolean[];
  order: Order | null;
  onSort: (column: number) => void;
}

// Scrolling draws the grid again, but neither its head nor the rows that were there.
const Head = memo(function Head({ columns, numeric, order, onSort }: HeadProps) {
  return (
    <thead>
      <tr aria-rowindex={1}>
        {columns.map((column, number) => {
          const direction = order?.column === number ? (order.descending ? "descending" : "ascending") : undefined;
          return (
            <th key={`${number} ${column.name}`} scope="col" data-number={numeric[number] || undefined} aria-sort={direction} title={column.note ? `${column.name}: ${column.note}` : column.name}>
              <UnstyledButton className={classes.heading} onClick={() => onSort(number)}>
                {column.name}{direction && <span aria-hidden> {order?.descending ? "↓" : "↑"}</span>}
                {column.note && <Text span size="xs" c="dimmed" fw={400}> {column.note}</Text>}
              </UnstyledButton>
            </th>
          );
        })}
      </tr>
    </thead>
  );
});

interface RowProps {
  index: number;
  values: unknown[] | undefined;
  columns: GridColumn[];
  numeric: boolean[];
  render: Props["render"];
}

const Row = memo(function Row({ index, values, columns, numeric, render }: RowProps) {
  return (
    <tr aria-rowindex={index + 2} style={{ height: ROW }}>
      {columns.map((column, number) => {
        const value = values?.[number];
        const text = shown(value);
        return (
          <td key={`${number} ${column.name}`} data-empty={value === null || value === undefined || undefined} data-number={numeric[number] || undefined} title={text.length > 24 ? text : undefined}>
            {render?.(value, number) ?? text}
          </td>
        );
      })}
    </tr>
  );
});
