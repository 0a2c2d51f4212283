import { describe, expect, it } from 'vitest'
import { injectedFailureIn } from '../../torture/traced-writer.ts'

const segment = '</data/journal/0000000022-0000000000073234.segment>'

describe('a record of system calls', () => {
  it('has no failure while none was injected', () => {
    expect(injectedFailureIn([`7 fdatasync(3${segment}) = 0`, `7 pwritev(3${segment}, …) = 240`])).toBeNull()
  })

  it('shows a flush that is tried again after it failed, also where its call is cut in two lines', () => {
    const record = [
      `8 fdatasync(3${segment} <unfinished ...>`,
      `7 pwritev(3${segment}, …) = 240`,
      '8 <... fdatasync resumed>) = -1 EIO (Input/output error) (INJECTED)',
      `7 pwritev(3${segment}, …) = 240`,
      `9 fdatasync(3${segment}) = 0`,
    ]
    expect(injectedFailureIn(record)).toEqual({ isOfSegment: true, later: [record[4]] })
    expect(injectedFailureIn(record.slice(0, 4))).toEqual({ isOfSegment: true, later: [] })
  })

  it('shows a write after one that failed, and not the flush of what was written before it', () => {
    const record = [
      `7 pwritev(3${segment}, …) = -1 EIO (Input/output error) (INJECTED)`,
      `8 fdatasync(3${segment}) = 0`,
      `7 pwritev(3${segment}, …) = 240`,
    ]
    expect(injectedFailureIn(record)).toEqual({ isOfSegment: true, later: [record[2]] })
  })

  it('lets a segment that is being made be made again', () => {
    const record = [
      '8 fdatasync(4</data/journal/spare.segment.tmp>) = -1 EIO (Input/output error) (INJECTED)',
      `8 fdatasync(3${segment}) = 0`,
    ]
    expect(injectedFailureIn(record)).toEqual({ isOfSegment: false, later: [] })
  })
})
