import type { Transform } from 'node:stream'
// Not by name: Node 23 before 23.8 has no zstd, and a database without an archive runs there too.
import zlib from 'node:zlib'

/** How objects are packed. Simulations, whose time is not that of the thread pool, pack them otherwise. */
export interface SegmentCodec {
  compress(bytes: number): Transform
  decompress(): Transform
}

const bufferBytes = 262_144

/**
 * zstd with a checksum over what was packed, on the thread pool. Level 1: entries are small and alike, so that higher
 * levels gain little, and the cores belong to the commands.
 */
export const zstd: SegmentCodec = {
  compress: (bytes) =>
    zlib.createZstdCompress({
      chunkSize: bufferBytes,
      pledgedSrcSize: bytes,
      params: { [zlib.constants.ZSTD_c_compressionLevel]: 1, [zlib.constants.ZSTD_c_checksumFlag]: 1 },
    }),
  decompress: () => zlib.createZstdDecompress({ chunkSize: bufferBytes }),
}

/** Whether a failed decompression says that the bytes are no sound object. */
export const isPackingFault = (error: unknown): boolean => /^(Z_|ZSTD_)/.test((error as { code?: string }).code ?? '')
