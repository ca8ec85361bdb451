"""All GraphQL queries that the platform sends to Dagster.

Dagster calls its schema "still evolving", so a test validates each query against the schema of the pinned version.
"""

from __future__ import annotations

PROBE = """
query Probe {
  newest: runsOrError(limit: 1) { __typename ... on Runs { results { runId status } } ... on PythonError { message } }
  active: runsOrError(filter: {statuses: [QUEUED, NOT_STARTED, STARTING, STARTED, CANCELING]}, limit: 200) {
    ... on Runs { results { runId status } }
  }
  locationStatusesOrError {
    ... on WorkspaceLocationStatusEntries { entries { name loadStatus updateTimestamp versionKey } }
  }
}
"""

_AUTOMATION_STATE = """
fragment AutomationState on InstigationState {
  id selectorId status
  ticks(limit: 1) { status timestamp skipReason error { message } }
}
"""

GRAPH = (
    """
query Graph {
  workspaceOrError {
    __typename
    ... on PythonError { message }
    ... on Workspace {
      locationEntries {
        name loadStatus
        locationOrLoadError {
          __typename
          ... on PythonError { message }
          ... on RepositoryLocation {
            repositories {
              name
              assetNodes {
                assetKey { path }
                description groupName kinds isExecutable isPartitioned isAutoCreatedStub opVersion opNames jobNames
                owners { ... on UserAssetOwner { email } ... on TeamAssetOwner { team } }
                dependencyKeys { path }
                automationCondition { label expandedLabel }
                tags { key value }
                assetChecksOrError { ... on AssetChecks { checks { additionalAssetKeys { path } } } }
              }
              schedules {
                name cronSchedule executionTimezone description pipelineName
                tags { key value }
                assetSelection { assetKeys { path } }
                scheduleState { ...AutomationState }
                futureTicks(limit: 5) { results { timestamp } }
              }
              sensors {
                name sensorType minIntervalSeconds description
                targets { pipelineName }
                assetSelection { assetKeys { path } }
                sensorState { ...AutomationState }
              }
            }
          }
        }
      }
    }
  }
}
"""
    + _AUTOMATION_STATE
)

TOGETHER = """
query Together($key: AssetKeyInput!) { assetNodeAdditionalRequiredKeys(assetKeys: [$key]) { path } }
"""

STATES = """
query States($keys: [AssetKeyInput!]!) {
  assetNodes(assetKeys: $keys) {
    assetKey { path }
    isAutoCreatedStub
    staleStatus
    staleCauses { key { path } category reason dependency { path } }
    assetMaterializations(limit: 1) {
      runId timestamp partition
      tags { key value }
      metadataEntries {
        __typename label
        ... on IntMetadataEntry { intRepr }
        ... on FloatMetadataEntry { floatRepr }
        ... on BoolMetadataEntry { boolValue }
        ... on TextMetadataEntry { text }
        ... on PathMetadataEntry { path }
        ... on UrlMetadataEntry { url }
      }
    }
    assetChecksOrError {
      ... on AssetChecks {
        checks {
          name description blocking
          executionForLatestMaterialization {
            runId status timestamp
            evaluation { success severity description metadataEntries { label ... on TextMetadataEntry { text } } }
          }
        }
      }
    }
  }
  assetsLatestInfo(assetKeys: $keys) {
    assetKey { path }
    unstartedRunIds inProgressRunIds
    latestRun { runId status startTime endTime }
  }
}
"""


def check_histories(count: int) -> str:
    """Returns the document that reads the last evaluations of `count` checks: `$asset0`, `$check0`, and so on."""
    declared = " ".join(f"$asset{n}: AssetKeyInput! $check{n}: String!" for n in range(count))
    fields = "\n".join(
        f"  history{n}: assetCheckExecutions(assetKey: $asset{n}, checkName: $check{n}, limit: {_EVALUATIONS})"
        " { ...Evaluation }"
        for n in range(count)
    )
    return f"query CheckHistories({declared}) {{\n{fields}\n}}\n{_EVALUATION}"


_EVALUATIONS = 10
_EVALUATION = """
fragment Evaluation on AssetCheckExecution {
  runId status timestamp
  evaluation { success severity description metadataEntries { label ... on TextMetadataEntry { text } } }
}
"""

_VALUE = """
fragment Value on MetadataEntry {
  __typename label
  ... on IntMetadataEntry { intRepr }
  ... on FloatMetadataEntry { floatRepr }
  ... on BoolMetadataEntry { boolValue }
  ... on TextMetadataEntry { text }
  ... on PathMetadataEntry { path }
  ... on UrlMetadataEntry { url }
  ... on MarkdownMetadataEntry { mdStr }
  ... on JsonMetadataEntry { jsonString }
  ... on TableMetadataEntry { table { records } }
}
"""

REPORT = (
    """
query Report($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) {
    __typename
    ... on AssetNode {
      metadataEntries { ...Value }
      assetMaterializations(limit: 1) { runId timestamp tags { key value } metadataEntries { ...Value } }
    }
  }
}
"""
    + _VALUE
)

EVALUATIONS = (
    """
query Evaluations($key: AssetKeyInput!, $check: String!, $limit: Int!) {
  assetCheckExecutions(assetKey: $key, checkName: $check, limit: $limit) {
    runId status timestamp
    evaluation { success severity description metadataEntries { ...Value } }
  }
}
"""
    + _VALUE
)

_RUN = """
fragment RunFields on Run {
  runId status creationTime startTime endTime stepKeysToExecute
  jobName
  assetSelection { path }
  repositoryOrigin { repositoryLocationName }
  tags { key value }
  stats { ... on RunStatsSnapshot { stepsSucceeded stepsFailed } }
}
"""

RUNS = (
    """
query Runs($filter: RunsFilter!, $limit: Int!, $cursor: String) {
  runsOrError(filter: $filter, limit: $limit, cursor: $cursor) {
    __typename
    ... on Runs { results { ...RunFields } }
    ... on PythonError { message }
  }
}
"""
    + _RUN
)

ENDED_RUN = """
query EndedRun($id: ID!) {
  runOrError(runId: $id) {
    __typename
    ... on Run {
      assetMaterializations { assetKey { path } partition tags { key value } }
    }
  }
}
"""

RUN_STEPS = """
query RunSteps($id: ID!) {
  runOrError(runId: $id) {
    __typename
    ... on PythonError { message }
    ... on Run {
      stepKeysToExecute
      stepStats { stepKey status startTime endTime attempts { startTime } }
    }
  }
}
"""

RUN_LOGS = """
query RunLogs($id: ID!, $after: String, $limit: Int!) {
  logsForRun(runId: $id, afterCursor: $after, limit: $limit) {
    __typename
    ... on RunNotFoundError { message }
    ... on PythonError { message }
    ... on EventConnection {
      cursor hasMore
      events {
        __typename
        ... on MessageEvent { message timestamp level stepKey eventType }
        ... on ErrorEvent { error { message className stack causes { message className } } }
      }
    }
  }
}
"""

BACKFILL = """
query Backfill($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    __typename
    ... on PythonError { message }
    ... on PartitionBackfill {
      id status
      error { message }
      runs(limit: 500) { runId }
      assetBackfillData {
        assetBackfillStatuses {
          __typename
          ... on AssetPartitionsStatusCounts { numPartitionsTargeted numPartitionsMaterialized numPartitionsFailed }
          ... on UnpartitionedAssetStatus { materialized failed }
        }
      }
    }
  }
}
"""

RECENT_BACKFILLS = """
query RecentBackfills {
  partitionBackfillsOrError(limit: 50) { ... on PartitionBackfills { results { id tags { key value } } } }
}
"""

PARTITION_KEYS = """
query PartitionKeys($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) { __typename ... on AssetNode { partitionKeys } }
}
"""

PARTITION_STATES = """
query PartitionStates($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) {
    __typename
    ... on AssetNode {
      partitionKeys
      partitionKeysByDimension { name partitionKeys }
      assetPartitionStatuses {
        __typename
        ...OneDimension
        ... on MultiPartitionStatuses {
          primaryDimensionName
          ranges { primaryDimStartKey primaryDimEndKey secondaryDim { __typename ...OneDimension } }
        }
      }
    }
  }
}
fragment OneDimension on PartitionStatus1D {
  ... on TimePartitionStatuses { ranges { startKey endKey status } }
  ... on DefaultPartitionStatuses { materializedPartitions failedPartitions materializingPartitions }
}
"""

CONFIG_FIELDS = """
query ConfigFields($keys: [AssetKeyInput!]!) {
  assetNodes(assetKeys: $keys) {
    assetKey { path }
    configField { configType { ... on CompositeConfigType { fields { name } } } }
  }
}
"""

PUBLISHED_LOCATION = """
query PublishedLocation($name: String!, $keys: [AssetKeyInput!]) {
  workspaceLocationEntryOrError(name: $name) {
    __typename
    ... on PythonError { message }
    ... on WorkspaceLocationEntry {
      loadStatus
      defsStateInfo { keyStateInfo { name info { version } } }
      locationOrLoadError { __typename ... on PythonError { message } }
    }
  }
  assetNodes(assetKeys: $keys) {
    assetKey { path }
    description
    tags { key value }
    repository { location { name } }
  }
}
"""
