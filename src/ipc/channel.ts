import type { CommanderError } from '../kernel/errors.ts'

/** One side of a connection between two processes (or two roles of one process): ordered frames in both directions. */
export interface Channel {
  /** Unique in this process; never reused. */
  readonly id: number
  /** Who is at the other end, for logs. */
  readonly peer: string
  /**
   * Queues one frame. The parts follow one another in the frame's body and may be shared between channels (fan-out):
   * they are never changed, and large ones are never copied, so the caller must not change them after this call.
   * All frames of one turn of the event loop leave in one gathered write. Frames sent before the connection is up wait
   * for it; on a closed channel nothing happens, since `closed` tells of it.
   *
   * Look at `writable` first: a channel whose `outstandingBytes` grow beyond four windows is closed with `overloaded`.
   *
   * @param kind 1 to 65279; the meaning is the caller's.
   * @throws CommanderError `payload_too_large` when the frame is over `limits.ipcFrameBytesMax`.
   */
  send(kind: number, ...body: Buffer[]): void
  /** Writes what is queued now, without waiting for the end of the turn: for a role that has just finished its batch. */
  flush(): void
  /**
   * Bytes sent and not yet released by the peer, plus those not yet sent; 8 a frame are counted for its header. The
   * peer reports releases a quarter of a window at a time, so this may stay above 0 on a channel at rest.
   */
  readonly outstandingBytes: number
  /** `outstandingBytes` are below the peer's window. */
  readonly writable: boolean
  /**
   * The receiver is done with this many bytes of bodies (`body.length` as handed to `frame`). Who releases nothing
   * is sent no more than one window (`limits.ipcCreditBytes`).
   */
  release(bytes: number): void
  /**
   * Sends what the peer's credit still allows, drops the rest, and ends the connection. The peer's `closed` gets this
   * error, or null. No frame is handed up after this call. Idempotent.
   */
  close(error?: CommanderError): void
}

/** What the owner of a channel is told. No handler is ever called from within a method of the channel. */
export interface ChannelHandlers {
  /**
   * One frame. `body` is a view into what was received: copy what is kept for long. A handler that throws closes its
   * channel with `internal`.
   */
  frame(kind: number, body: Buffer): void
  /** The peer has answered: both sides speak the same protocol. */
  opened?(): void
  /** The channel was not writable and is so again. */
  writable?(): void
  /**
   * Called exactly once, as the last call. Null: one of the two sides closed it without an error. Otherwise the error
   * that it was closed with, or `connection_lost` (the peer is gone), `no_database` (nobody listens there),
   * `protocol_violation`, `unsupported_version`, `overloaded` or `internal`.
   */
  closed(error: CommanderError | null): void
}

export interface Listener {
  /** As given to `listen`. */
  readonly address: string
  /** Accepts no more, closes the accepted channels, and resolves when all of them have ended. Idempotent. */
  close(): Promise<void>
}

/** Where channels come from: sockets between processes, or memory within one. */
export interface Transport {
  /**
   * @param accept called once per peer that has greeted with the right protocol and version; others are logged and cut.
   * @throws CommanderError `database_locked` when somebody listens at the address already.
   */
  listen(address: string, accept: (channel: Channel) => ChannelHandlers): Promise<Listener>
  /**
   * Calls `open` before it returns; what is sent then waits for the connection. When it cannot be made, `closed` gets
   * `no_database` (nobody listens) or `connection_lost`. There is no reconnection: callers decide.
   */
  connect(address: string, open: (channel: Channel) => ChannelHandlers): void
}
