/** Every queue, frame, batch and retry has its bound here (G10). Bytes unless the name says otherwise. */
export const limits = {
  /** Largest IPC frame; a longer one ends its connection. Holds a whole append batch. */
  ipcFrameBytesMax: 16_777_216,
  /** Unconsumed bytes that one side of a channel may have under way to the other. */
  ipcCreditBytes: 8_388_608,
  /** Recent batches that the journal writer keeps in memory to bridge a child from disk to the live stream. */
  bridgeBytesMax: 16_777_216,
  /** Drafts gathered into one frame of the journal at most. */
  appendBatchBytesMax: 4_194_304,
  appendBatchEntriesMax: 8192,
  /** Payload of one command. The config may lower or raise it up to this. */
  payloadBytesMax: 4_194_304,
  payloadBytesDefault: 1_048_576,
  /** Commands received and not yet terminal. */
  pendingCommandsDefault: 20_000,
  pendingPerAggregateDefault: 5_000,
  pendingBytesDefault: 67_108_864,
  /** Commands started on one application instance and not yet terminal. */
  startedPerInstanceMax: 4096,
  /** An application instance that ends none of its commands for so long is deregistered. Milliseconds. */
  applicationSilenceMsDefault: 30_000,
  /** Events that one command may produce. */
  eventsPerCommandMax: 1000,
  /** Aggregate type, aggregate id, command, event and projection names, in UTF-8 bytes. */
  nameBytesMax: 128,
  /** Workflow names: their history is the stream of an aggregate `workflow:<name>`. */
  workflowNameBytesMax: 118,
  aggregateIdBytesMax: 256,
  idempotencyKeyBytesMax: 256,
  metadataBytesMax: 4096,
  /** Entries that a child reduces before it gives the event loop back. */
  reduceSliceEntries: 2048,
  /** Bytes that a child reads from a segment in one slice while catching up. */
  catchUpSliceBytes: 2_097_152,
  /** A process whose drafts the journal had no room for tries again after so long, doubling, unless it is told before. Milliseconds. */
  roomWaitMsMin: 100,
  roomWaitMsMax: 5_000,
  /** Client sessions remembered for retries; the least recently used one is forgotten first. */
  sessionsMax: 4096,
  /** Calls one client session may have under way. */
  sessionWindowMax: 16_384,
  /** Connections of clients over the socket; further ones are closed as they come. */
  clientConnectionsMax: 4096,
  /** A client that takes nothing for so long, of what fills its window, is cut off. Milliseconds. */
  stalledClientMs: 300_000,
  /** Events in one page of a read. */
  pageEventsMax: 10_000,
  /** Attempts to decide a command before it is parked, unless the aggregate says otherwise. */
  attemptsDefault: 5,
  attemptsMax: 100,
  /** What a workflow records at once: an input, a result, the data of a command, in MessagePack. */
  workflowValueBytesMax: 1_048_576,
  /** Levels of objects and lists in such a value. */
  workflowValueDepthMax: 200,
  /** Workflows without anything to do whose code an application process keeps in memory, so that it need not run again. */
  idleExecutionsMax: 1000,
  /** Workflows that have something to do at once, in the whole database: further ones are not started. */
  activeWorkflowsMax: 20_000,
  /** Requests of workflows that one application process carries out at once; the others wait for their turn. */
  requestsUnderWayMax: 4096,
  /** Callers that wait for workflows to end, in one gateway; further ones come again. */
  workflowWaitsMax: 100_000,
  /** Requests of a workflow that its view shows, beside those under way: the latest. */
  workflowRequestsShown: 1000,
  /** Timers that the dispatcher holds in memory; those that are due later are in the store alone. */
  timersHeldMax: 20_000,
  /** Timers that the dispatcher reads out of the store at once: a few milliseconds of its event loop. */
  timersReadMax: 1_000,
  /** Timers are fired while no more commands than this are pending, and no more workflows active. */
  timersPendingMax: 5_000,
  /** A time of a schedule that is late by no more is not missed, in milliseconds. */
  scheduleGraceMs: 10_000,
  /** Times of a schedule that are made up for at once, and that wait for the one before. */
  scheduledTimesMax: 1_000,
  /** Schedules of one application. */
  schedulesMax: 1_000,
  /** Workflows that hold slots of queues, in the whole database; further ones are not started. */
  slotsHeldMax: 100_000,
  /** Names of partitions of queues, in UTF-8 bytes. */
  partitionBytesMax: 256,
  /** The highest priority in a queue. */
  priorityMax: 9,
  /** How long a command may be put off: a year, in milliseconds. */
  delayMsMax: 31_622_400_000,
  /** Warnings of one kind that are logged within a period; then once that there are more. */
  warningsPerPeriodMax: 20,
  warningsPeriodMs: 10_000,
  /** How often a command may take its process down with it before it is parked. */
  crashesMax: 2,
  /** Journal servers in a group of a replicated stream. */
  replicasMax: 16,
  /** Batches of entries in one message between a leader, journal servers and readers. */
  replicationBatchesMax: 8192,
  /** Bytes of batches in one answer to a reader; one batch may go beyond. */
  replicationReadBytesMax: 4_194_304,
  /** One file of a journal server: a segment of a stream takes whole ones. */
  serverFileBytes: 16_777_216,
  /** Reads that wait at a journal server for entries to be committed; further ones are answered at once. */
  heldReadsMax: 4096,
  /** Reads of one peer that wait until it has taken earlier answers; a peer with more of them is cut off. */
  deferredReadsMax: 256,
  /** Servers that a journal server passes batches on to. */
  forwardingMax: 64,
  /** Segments of a stream, and damaged ranges of one, that a journal server tells of in one message. */
  replicationListMax: 65_536,
  /** Addresses of journal servers and texts about requests, in UTF-8 bytes. */
  replicationTextBytesMax: 2048,
  /** Names of what a cluster keeps in its metadata store. */
  metadataKeyBytesMax: 512,
  /** One value there, such as the segment map of a stream; etcd takes 1.5 MiB in a request, and a third more on the way. */
  metadataValueBytesMax: 1_048_576,
  /** All of a metadata store that is a file: it is written anew with each change. */
  metadataFileBytesMax: 16_777_216,
  /** One answer of etcd, and one event of a watch there. */
  metadataAnswerBytesMax: 268_435_456,
  /** Entries that may be under way to one journal server beyond what it acknowledged. */
  replicationWindowEntries: 65_536,
  /** Batches that a leader has appended and that are not committed; further ones wait. */
  uncommittedBatchesMax: 4096,
  /** What a journal server does not answer is sent again after so long. Milliseconds. */
  replicationRetryMs: 200,
  /** Where the members of a group share a device, those that no quorum needs get entries so much later at most. Milliseconds. */
  surplusWaitMs: 10,
  /** A server of a chain that was served around it comes back after so long with nothing to catch up on. Milliseconds. */
  chainRestMs: 1000,
  /** Sealed segments whose laggards a leader serves; of older ones whoever repairs takes care. */
  sealedTracksMax: 16,
  /** A candidate that has not opened the stream by then lets others try. Milliseconds. */
  recoveryPatienceMs: 5_000,
  /** How often the pause between tries to lead is doubled. */
  backoffDoublingsMax: 5,
  /** Linearizable reads that wait for a confirmation; further ones are refused. */
  confirmationsMax: 4096,
  /** A linearizable read is refused when the leader has not confirmed within so long that it leads. Milliseconds. */
  readConfirmMs: 5_000,
  /** Changes of the role of a node that one observer has not taken yet; of more the oldest are dropped. */
  untoldRolesMax: 1024,
  /** Journal servers that one request has started. */
  provisionedAtOnceMax: 16,
} as const
