/** Longest key, in bytes; LMDB's own bound with pages of 4096 bytes is 1978. */
export const keyBytesMax = 1900
/** Tables of one store. */
export const tablesMax = 60
/** Default of `mapBytesMax`: the largest size of a store. */
export const mapBytesMaxDefault: number = 64 * 2 ** 30
/** Default of `residentBytesMax`: what stays mapped of the store in one process. */
export const residentBytesMaxDefault: number = 64 * 2 ** 20
/** Read transactions of all processes together; each process has a few. */
export const readersMax = 256
/** How often the slots of readers that were killed are freed; until then their snapshots keep pages from reuse. */
export const readerCheckMs = 5_000
