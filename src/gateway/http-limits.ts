/** Bounds of the HTTP server (G10). Bytes, unless the name says otherwise. */
export const httpLimits = {
  /** Connections at once; further ones are closed as they come. */
  connectionsMax: 10_000,
  /** Body of one request, for each byte of `limits.payloadBytes`: JSON takes more room than what is stored. */
  bodyBytesPerPayloadByte: 2,
  /** Bodies that are being received at once, all connections together. */
  bodiesBytesMax: 268_435_456,
  /** Request line and headers. */
  headerBytesMax: 32_768,
  /** An encoded path segment: three bytes for each of an id's 256, with room for a clear error about a longer one. */
  pathSegmentBytesMax: 8192,
  /** From the first byte of a request to its last. */
  requestMs: 60_000,
  headersMs: 15_000,
  /** How long a connection without a request is kept; longer than the minute that proxies in front mostly keep theirs. */
  keepAliveMs: 72_000,
  /** A client that takes nothing for so long, of an answer that is under way, is cut off. Longer than `waitMsMax`. */
  stalledMs: 120_000,
  /** How long a command's answer may take where the request does not say. */
  answerMs: 30_000,
  /** The longest `wait` that a request gets. */
  waitMsMax: 60_000,
  /** How long a read waits for the store to have applied `minLsn`. */
  readWaitMs: 10_000,
  /** How long `close` waits for answers that are under way. */
  drainMs: 4000,
  /** Events that are read for one request before the others have their turn. Counted as stored. */
  turnBytes: 131_072,
  /** Between the comments that keep a stream of server-sent events alive. */
  keepAliveCommentMs: 15_000,
  pageItemsDefault: 100,
} as const
