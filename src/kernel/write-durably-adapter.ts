import { closeSync, fsyncSync, openSync, renameSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { makeDirectoryNow } from './make-directory-adapter.ts'

/** Under this name a file is until it is whole. */
export const unfinished = (name: string): string => `${name}.new`

/**
 * A small file that is whole or not there, whenever the power fails, and on the disk when this returns: temporary name, flush, rename, flush of
 * the directory, which is made when absent.
 */
export function writeDurably(directory: string, name: string, text: string): void {
  makeDirectoryNow(directory)
  const temporary = join(directory, unfinished(name))
  flushed(temporary, 'w', (file) => writeSync(file, text))
  renameSync(temporary, join(directory, name))
  flushed(directory, 'r', () => {})
}

function flushed(path: string, flags: 'w' | 'r', write: (file: number) => void): void {
  const file = openSync(path, flags, 0o600)
  try {
    write(file)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
