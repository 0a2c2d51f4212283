import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'

/** In a process of its own, which LMDB aborts when it finds its own pages damaged. */
test('a copy of a store can be written to as the store itself can', () => {
  const directory = mkdtempSync(join(tmpdir(), 'store-copy-'))
  try {
    const program = join(import.meta.dirname, 'store-copy-child.ts')
    const { status, signal, stdout, stderr } = spawnSync(
      process.execPath,
      [program, join(directory, 'store'), join(directory, 'copy')],
      { encoding: 'utf8' },
    )
    expect({ status, signal, stdout, stderr }).toEqual({ status: 0, signal: null, stdout: 'sound\n', stderr: '' })
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})
