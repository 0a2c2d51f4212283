import type { Transform } from 'node:stream'
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib'

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
    createZstdCompress({
      chunkSize: bufferBytes,
      pledgedSrcSize: bytes,
      params: { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_checksumFlag]: 1 },
    }),
  decompress: () => createZstdDecompress({ chunkSize: bufferBytes }),
}

/** Whether a failed decompression says that the bytes are no sound object. */
export const isPackingFault = (error: unknown): boolean => /^(Z_|ZSTD_)/.test((error as { code?: string }).code ?? '')
