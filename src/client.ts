export { connect } from './client/connect-adapter.ts'
export type {
  ArchiveStreamOptions,
  CommandView,
  ConnectOptions,
  Database,
  EventsOptions,
  ExecuteOptions,
  Outcome,
  ProjectionView,
  QueueingOptions,
  ReadOptions,
  StreamOptions,
  StreamView,
  WorkflowCancelOptions,
  WorkflowHandle,
  WorkflowRequestView,
  WorkflowSendOptions,
  WorkflowStarted,
  WorkflowStartOptions,
  WorkflowSummary,
  WorkflowsOptions,
  WorkflowView,
  WorkflowWaiting,
  WorkflowWaitOptions,
} from './client/options.ts'
export type { ClientEvent, ClientOutcome } from './ipc/call-codec.ts'
export { CommanderError, type ErrorCode, isCommanderError } from './kernel/errors.ts'
