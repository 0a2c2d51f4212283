import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'
import { messageOf } from '../kernel/errors.ts'
import type { ImportMap } from '../sdk/import-map.ts'
import { LineError, readCsv } from './csv-adapter.ts'
import { checkCommand, type ImportRow } from './import-row.ts'

const chunkBytes = 262_144

/** The rows of a file: CSV where there is a map, otherwise NDJSON. `-` is standard input. */
export function readImport(file: string, map: ImportMap | undefined): AsyncGenerator<ImportRow> {
  const source = file === '-' ? process.stdin : createReadStream(file, { highWaterMark: chunkBytes })
  return map === undefined ? readNdjson(source) : readMapped(source, map)
}

async function* readMapped(source: Readable, { toCommand, csv }: ImportMap): AsyncGenerator<ImportRow> {
  for await (const { line, row, bytes } of readCsv(source, csv?.delimiter ?? ',')) {
    let command: unknown
    try {
      command = toCommand(row)
    } catch (error) {
      throw new LineError(messageOf(error), { line, cause: error })
    }
    yield { line, bytes, command: command === undefined ? null : checkCommand(command, line) }
  }
}

/** @throws LineError */
export async function* readNdjson(source: AsyncIterable<Buffer>): AsyncGenerator<ImportRow> {
  let line = 0
  let bytes = 0
  for await (const text of linesOf(source)) {
    line++
    bytes += text.length + 1
    if (text.length === 0 || isBlank(text)) continue
    yield { line, bytes, command: checkCommand(parse(text, line), line) }
  }
}

function parse(text: Buffer, line: number): unknown {
  try {
    return JSON.parse(decoder.decode(text))
  } catch (error) {
    throw new LineError(`it is not JSON: ${messageOf(error)}`, { line, cause: error })
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true })
const lineBytesMax = 8_388_608
const lineFeed = 10
const carriageReturn = 13
const space = 32

const isBlank = (text: Buffer): boolean => text.every((byte) => byte === space || byte === carriageReturn)

/** @throws LineError for a line that is too long to be a command: what has no line ends must not fill the memory. */
async function* linesOf(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0)
  let line = 0
  for await (const chunk of source) {
    let bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    for (let end = bytes.indexOf(lineFeed); end !== -1; end = bytes.indexOf(lineFeed)) {
      line++
      yield bytes.subarray(0, end)
      bytes = bytes.subarray(end + 1)
    }
    if (bytes.length > lineBytesMax) throw new LineError(`it has more than ${lineBytesMax} bytes`, { line: line + 1 })
    rest = bytes
  }
  if (rest.length > 0) yield rest
}
