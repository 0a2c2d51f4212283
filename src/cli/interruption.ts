import { exitCodes } from './exit-code.ts'

/** Says what an interrupted verb leaves behind, and ends the process. Returns how to take that back. */
export function whenInterrupted(say: () => void): () => void {
  const end = (): void => {
    say()
    process.exit(exitCodes.failed)
  }
  process.on('SIGINT', end).on('SIGTERM', end)
  return () => {
    process.off('SIGINT', end).off('SIGTERM', end)
  }
}
