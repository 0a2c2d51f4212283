import { beforeEach, describe, expect, it } from 'vitest'
import { ReadPoints } from '../../../src/gateway/read-points.ts'
import { CommanderError, toWireError } from '../../../src/kernel/errors.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'
import { limits } from '../../../src/kernel/limits.ts'
import { manualEnvironment } from './http-fakes.ts'

/** Reads, and a journal writer that answers when the test says so. */
function setUp() {
  const { environment, scheduler } = manualEnvironment()
  const questions: number[] = []
  const writer = { isThere: true }
  const points = new ReadPoints(environment, (id) => {
    if (writer.isThere) questions.push(id)
    return writer.isThere
  })
  const told: Record<string, number | string> = {}
  const read = (name: string): void =>
    points.ask((point) => (told[name] = typeof point === 'number' ? point : point.code))
  const answer = (id: number | undefined, at: number): void => {
    points.answered({ id: id ?? 0, lsn: lsn(at) })
    scheduler.settle()
  }
  return { points, scheduler, questions, writer, told, read, answer }
}

let world: ReturnType<typeof setUp>
beforeEach(() => {
  world = setUp()
})

describe('linearizable reads of one gateway', () => {
  it('share a question when they come in one turn', () => {
    const { read, scheduler, questions, answer, told } = world
    read('a')
    read('b')
    scheduler.settle()
    expect(questions).toHaveLength(1)
    answer(questions[0], 7)
    expect(told).toEqual({ a: 7, b: 7 })
    scheduler.advance(60_000)
    expect(questions).toHaveLength(1)
  })

  it('are not served by a question that was asked before they came', () => {
    const { read, scheduler, questions, answer, told } = world
    read('early')
    scheduler.settle()
    read('late')
    scheduler.settle()
    expect(questions).toHaveLength(1)
    answer(questions[0], 7)
    expect(told).toEqual({ early: 7 })
    expect(questions).toHaveLength(2)
    answer(questions[0], 8)
    expect(told).toEqual({ early: 7 })
    answer(questions[1], 9)
    expect(told).toEqual({ early: 7, late: 9 })
  })

  it('hear why nobody can say how far they have to wait', () => {
    const { points, read, scheduler, questions, told } = world
    read('a')
    scheduler.settle()
    const error = toWireError(new CommanderError('not_ready', 'nobody leads', { retryable: true }))
    points.answered({ id: questions[0] as number, error })
    expect(told).toEqual({ a: 'not_ready' })
  })

  it('are asked for again when the journal writer is another one, and wait for it while there is none', () => {
    const { points, read, scheduler, questions, writer, answer, told } = world
    read('a')
    scheduler.settle()
    points.lost()
    writer.isThere = false
    read('b')
    scheduler.advance(500)
    expect(questions).toHaveLength(1)
    writer.isThere = true
    points.again()
    expect(questions).toHaveLength(2)
    answer(questions[0], 3)
    expect(told).toEqual({})
    answer(questions[1], 5)
    expect(told).toEqual({ a: 5, b: 5 })
  })

  it('are refused, each when its own time is over, if nobody answers; a late answer serves none of them', () => {
    const { read, scheduler, questions, answer, told } = world
    read('a')
    scheduler.advance(3_000)
    read('b')
    scheduler.advance(limits.readConfirmMs + 1_000 - 3_000)
    expect(told).toEqual({ a: 'timeout' })
    answer(questions[0], 9)
    expect(told).toEqual({ a: 'timeout' })
    scheduler.advance(3_000)
    expect(told).toEqual({ a: 'timeout', b: 'timeout' })
  })

  it('are bounded in number', () => {
    const { read, scheduler, told } = world
    for (let i = 0; i < 10_000; i++) read(`${i}`)
    read('one more')
    scheduler.settle()
    expect(told).toEqual({ 'one more': 'overloaded' })
  })
})
