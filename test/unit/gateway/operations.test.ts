import { expect, test } from 'vitest'
import { Operations } from '../../../src/gateway/operations.ts'
import { lsn } from '../../../src/kernel/identifiers.ts'

const command = lsn(7)

test('a command is decided on once while the store may still show it as parked', () => {
  const operations = new Operations()
  expect(operations.begin(command)).toBeNull()
  expect(operations.begin(command)?.code).toBe('invalid_input')
  operations.decided(command, lsn(20))
  expect(operations.begin(command)?.code).toBe('invalid_input')
  operations.storeApplied(lsn(19))
  expect(operations.begin(command)?.code).toBe('invalid_input')
  expect(operations.begin(lsn(8))).toBeNull()
  operations.storeApplied(lsn(20))
  expect(operations.begin(command)).toBeNull()
})

test('a decision that never became an entry may be made again', () => {
  const operations = new Operations()
  operations.begin(command)
  operations.failed(command)
  expect(operations.begin(command)).toBeNull()
})

test('what another gateway decided counts as much', () => {
  const operations = new Operations()
  operations.decided(command, lsn(20))
  expect(operations.begin(command)?.message).toContain('command 7')
})
