export { type OpenDatabase, type OpenOptions, open } from './embedded/open.ts'
export { CommanderError, type ErrorCode, isCommanderError } from './kernel/errors.ts'
export { defineAggregate } from './sdk/aggregate.ts'
export type {
  Aggregate,
  AggregateDefinition,
  AnyAggregate,
  CommandContext,
  CommandData,
  CommandName,
  CommandsOf,
  EventOf,
  EventsOf,
  EvolveEvent,
  OnExhausted,
  RetryOptions,
  StateOf,
} from './sdk/aggregate-types.ts'
export { type Application, type ApplicationDefinition, defineApplication } from './sdk/application.ts'
export type {
  ApplicationConfig,
  Config,
  JournalConfig,
  LimitsConfig,
  ProcessResources,
  S3ArchiveConfig,
  Scope,
  TokenConfig,
} from './sdk/config.ts'
export { defineConfig } from './sdk/config.ts'
export type { CsvFormat, CsvRow, ImportCommand, ImportMap } from './sdk/import-map.ts'
export {
  type CommandOf,
  defineMigration,
  type MigratedCommandContext,
  type Migration,
  type MigrationContext,
  type MigrationDefinition,
} from './sdk/migration.ts'
export {
  defineProjection,
  type Projection,
  type ProjectionDefinition,
  type ProjectionEvent,
  type ProjectionTable,
} from './sdk/projection.ts'
export type { CommandQueue, QueueLimits, RateLimit, WorkflowQueue } from './sdk/queue.ts'
export { CommandRejected, isCommandRejected } from './sdk/rejection.ts'
export {
  defineSchedule,
  type Schedule,
  type ScheduleCatchUp,
  type ScheduleDefinition,
  type ScheduleOverlap,
} from './sdk/schedule.ts'
export type { StandardSchema } from './sdk/standard-schema.ts'
export { defineWorkflow } from './sdk/workflow.ts'
export { isRetryableError, isTerminalError, RetryableError, TerminalError } from './sdk/workflow-errors.ts'
export type {
  AnyWorkflow,
  Awakeable,
  ChildHandle,
  Effect,
  EffectContext,
  InputOf,
  OutputOf,
  RequestExhausted,
  RequestOptions,
  RequestRetry,
  Workflow,
  WorkflowCommandOptions,
  WorkflowCommandOutcome,
  WorkflowContext,
  WorkflowDefinition,
} from './sdk/workflow-types.ts'
