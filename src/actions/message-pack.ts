import { Packr } from 'msgpackr'

/**
 * MessagePack for envelopes and payloads. No shared record table: every entry can be read by itself, so neither a torn
 * tail nor an archived segment can take the meaning of later entries with it.
 */
const packr = new Packr({ useRecords: false, encodeUndefinedAsNil: true, int64AsType: 'number' })

/** Valid until the next call: copy it out at once. */
export const pack = (value: unknown): Buffer => packr.pack(value)

export const unpack = (source: Buffer, start: number, end: number): unknown => packr.unpack(source, { start, end })
