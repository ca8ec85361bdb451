import { CreateItem } from "../../../kernel/NewItem";

/** Creates a pipeline. */
export function NewPipeline() {
  return <CreateItem service="ai-catalog" plural="pipelines" />;
}
