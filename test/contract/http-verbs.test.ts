import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connect } from '../../src/client.ts'
import { expectProblem, get, openWorld, post, type World } from './http-world.ts'

let world: World
beforeAll(async () => {
  world = await openWorld()
})
afterAll(() => world.close())

const waiting = { amountCents: 100, waitsFor: 'signal' }

describe('a verb in a path', () => {
  it.each([
    ['/v1/workflows/order/1:cancle', ':signal, :cancel, :retry'],
    ['/v1/workflows/order/a:b', ':signal, :cancel, :retry'],
    ['/v1/commands/1:explode', ':retry, :skip'],
    ['/v1/streams/account/anna:kloze', ':close, :archive, :delete'],
    ['/v1/projections/balances:rebuilt', ':rebuild'],
    ['/v1/awakeables/x.:solve', ':resolve, :reject'],
    ['/v1/commands/1:', ':retry, :skip'],
  ])('that is unknown, as in %s, is 404 and names the known ones', async (path, known) => {
    const answer = await post(world.url, path, { body: {} })
    expectProblem(answer, 404, 'not_found')
    expect(answer.body.detail).toContain(`only ${known}; a colon that is part of the id is sent as %3A`)
  })

  it('that is unknown does not start a workflow', async () => {
    await post(world.url, '/v1/workflows/order/2:cancle', { body: waiting })
    expectProblem(await get(world.url, '/v1/workflows/order/2%3Acancle'), 404, 'workflow_unknown')
  })

  it('is begun by a colon as it is: an encoded one is part of the id', async () => {
    await post(world.url, '/v1/workflows/order/w5', { body: waiting })
    const started = await post(world.url, '/v1/workflows/order/w5%3Acancel', { body: waiting })
    expect([started.status, started.body.id]).toEqual([202, 'w5:cancel'])
    const lower = await post(world.url, '/v1/workflows/order/w6%3acancel', { body: waiting })
    expect([lower.status, lower.body.id]).toEqual([202, 'w6:cancel'])
    expect((await get(world.url, '/v1/workflows/order/w5')).body).toMatchObject({
      status: 'running',
      isCancelled: false,
    })

    expect((await post(world.url, '/v1/workflows/order/w5%3Acancel:cancel', { body: {} })).status).toBe(200)
    expect((await get(world.url, '/v1/workflows/order/w5%3Acancel?wait=10')).body.status).toBe('cancelled')
    expect((await get(world.url, '/v1/workflows/order/w5')).body.status).toBe('running')
  })

  it('of a command, a stream or a projection is none where it is encoded', async () => {
    for (const path of [
      '/v1/commands/1%3Aretry',
      '/v1/commands/1/%3Aretry',
      '/v1/commands/1/:retry',
      '/v1/streams/account/anna%3Adelete',
      '/v1/projections/balances%3Arebuild',
    ])
      expect([404, 405]).toContain((await post(world.url, path, { body: {} })).status)
    expect((await get(world.url, '/v1/streams/account/anna/life')).body.status).toBe('open')
  })

  it('never comes of an id that the client sends', async () => {
    const db = await connect({ url: world.url })
    try {
      const orders = db.workflow('order')
      await orders.start('q', waiting)
      await orders.start('q:cancel', waiting)
      await orders.start('q:cancle', waiting)
      for (const id of ['q', 'q:cancel', 'q:cancle'])
        expect(await orders.get(id)).toMatchObject({ id, status: 'running' })
      expect(await orders.execute('q:retry', { amountCents: 100 })).toMatchObject({ total: 101 })
      await orders.cancel('q:cancel')
      expect((await orders.get('q')).isCancelled).toBe(false)
    } finally {
      await db.close()
    }
  })
})
