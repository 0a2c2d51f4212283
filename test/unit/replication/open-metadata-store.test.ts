import { expect, it } from 'vitest'
import { metadataLocationOf } from '../../../src/replication/open-metadata-store-adapter.ts'

it('finds a directory behind file:, with slashes as URLs have them or without', () => {
  for (const [place, directory] of [
    ['file:/var/lib/metadata', '/var/lib/metadata'],
    ['file:///var/lib/metadata', '/var/lib/metadata'],
    ['file:metadata', 'metadata'],
  ] as const)
    expect(metadataLocationOf(place)).toEqual({ kind: 'file', directory })
})

it('finds the members of etcd, whether TLS is wanted, and the folder of the cluster', () => {
  expect(metadataLocationOf('etcd://one:2379,10.0.0.2:2380,[::1]:2379,four')).toEqual({
    kind: 'etcd',
    members: ['one:2379', '10.0.0.2:2380', '[::1]:2379', 'four'],
    isSecure: false,
    folder: 'commanderdb/',
  })
  expect(metadataLocationOf('etcds://one:2379/test/shop/')).toMatchObject({ isSecure: true, folder: 'test/shop/' })
})

it('refuses anything else, and says what it takes', () => {
  for (const place of [
    '',
    'file:',
    'etcd:',
    'etcd://',
    'etcd://one,',
    'etcd://a b',
    'http://one:2379',
    'etcd://one:port',
  ])
    expect(() => metadataLocationOf(place), place).toThrow(
      expect.objectContaining({ code: 'invalid_config', message: expect.stringContaining('etcd://HOST:PORT') }),
    )
})
