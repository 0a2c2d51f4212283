import { describe, expect, it } from 'vitest'
import { isCommanderError } from '../../../src/kernel/errors.ts'
import { attributeOf } from '../../../src/sdk/config-key.ts'
import { configKeys } from '../../../src/sdk/config-schema.ts'
import type { ConfigResolution, ConfigSources } from '../../../src/sdk/resolve-config.ts'
import { resolveConfig } from '../../../src/sdk/resolve-config.ts'

const fileName = '/etc/bank/commanderdb.config.ts'

function resolve(sources: Partial<ConfigSources> = {}): ConfigResolution {
  return resolveConfig({ env: {}, flags: {}, cwd: '/srv/shop', ...sources })
}

const resolveFile = (file: unknown): ConfigResolution => resolve({ file, fileName })

function messageFrom(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (!isCommanderError(error)) throw error
    expect(error.code).toBe('invalid_config')
    expect(error.message).not.toContain('\n')
    return error.message
  }
  throw new Error('nothing was thrown')
}

const replicated = { journal: 'replicated', nodeId: 'a', metadata: 'etcd://a:2379,b:2379' }

const defaultResources = {
  restart: { maxRestarts: 10, periodMs: 60_000, initialDelayMs: 100, maxDelayMs: 10_000 },
  shutdownMs: 10_000,
}

describe('the defaults', () => {
  it('are complete', () => {
    expect(resolve().config).toEqual({
      dataDir: '/srv/shop/data',
      http: { host: '127.0.0.1', port: 7400 },
      applications: [],
      journal: {
        segmentBytes: 67_108_864,
        initZero: true,
        recycle: true,
        writerDelayMs: 200,
        flushAfterBytes: 1_048_576,
        commitDelayMicros: 0,
        checkpointTimeoutMs: 300_000,
        maxJournalBytes: 1_073_741_824,
        checkpointCompletionTarget: 0.9,
        attestIntervalMs: 10_000,
        durability: 'flushed',
      },
      processes: {
        journalWriter: defaultResources,
        dispatcher: defaultResources,
        projectionApplier: defaultResources,
        gateway: defaultResources,
        journalServer: defaultResources,
        journalMaster: defaultResources,
      },
      limits: {
        payloadBytes: 1_048_576,
        pendingCommands: 20_000,
        pendingPerAggregate: 5_000,
        pendingBytes: 67_108_864,
        applicationSilenceMs: 30_000,
      },
      archive: null,
      replication: {
        journal: 'local',
        nodeId: null,
        clusterId: null,
        metadata: null,
        policy: { replicas: 3, ackQuorum: 2, topology: 'fanout' },
        serverBytes: 2 ** 50,
        servers: 0,
        serversOnly: false,
        leaseMs: 2000,
        master: true,
        serverSilenceMs: 10_000,
        sparesMin: null,
        sparesMax: 16,
        metadataWaitMs: 60_000,
        listen: '127.0.0.1:7500',
        tls: null,
        dev: false,
      },
      security: { tokens: [] },
    })
  })

  it('share nothing between two resolutions', () => {
    const [first, second] = [resolve().config, resolve().config]
    expect(first.applications).not.toBe(second.applications)
    expect(first.security.tokens).not.toBe(second.security.tokens)
  })
})

describe('precedence', () => {
  const file = { http: { port: 1 } }
  const env = { COMMANDERDB_HTTP_PORT: '2' }
  const flags = { httpPort: '3' }

  it('is: flag, then variable, then file, then default, and each value tells where it came from', () => {
    const ports = [{}, { file, fileName }, { file, fileName, env }, { file, fileName, env, flags }].map((sources) => {
      const { config, origins } = resolve(sources)
      return [config.http !== false && config.http.port, origins['http.port']]
    })
    expect(ports).toEqual([
      [7400, { kind: 'default' }],
      [1, { kind: 'file', name: fileName }],
      [2, { kind: 'variable', name: 'COMMANDERDB_HTTP_PORT' }],
      [3, { kind: 'flag', name: '--http-port' }],
    ])
  })

  it('passes over an empty variable and an undefined key or flag', () => {
    const sources = {
      file: { http: { port: undefined } },
      env: { COMMANDERDB_HTTP_PORT: '' },
      flags: { httpPort: undefined },
    }
    expect(resolve(sources).origins['http.port']).toEqual({ kind: 'default' })
  })

  it('ignores variables of other names', () => {
    expect(resolve({ env: { COMMANDERDB_TOKEN: 'x', PATH: '/bin' } }).config).toEqual(resolve().config)
  })

  it('holds for whole lists: --app replaces the applications of the file', () => {
    const applications = [{ module: './bank.ts', instances: 4 }]
    const { config } = resolve({ file: { applications }, fileName, flags: { app: ['one.ts', '/two.ts'] } })
    expect(config.applications.map(({ module, instances }) => [module, instances])).toEqual([
      ['/srv/shop/one.ts', 1],
      ['/two.ts', 1],
    ])
  })
})

describe('relative paths', () => {
  it('start at the config file when they stand in it, and at the working directory otherwise', () => {
    const { config } = resolveFile({
      dataDir: 'd',
      applications: [{ module: '../app.ts' }],
      archive: { directory: 'a' },
    })
    expect([config.dataDir, config.applications[0]?.module, config.archive]).toEqual([
      '/etc/bank/d',
      '/etc/app.ts',
      { directory: '/etc/bank/a' },
    ])
    expect(resolve({ file: {}, fileName }).config.dataDir).toBe('/srv/shop/data')
    expect(resolve({ env: { COMMANDERDB_DATA_DIR: 'd' } }).config.dataDir).toBe('/srv/shop/d')
    expect(resolve({ flags: { dataDir: '/d' } }).config.dataDir).toBe('/d')
  })
})

describe('text from flags and variables', () => {
  it.each([
    ['COMMANDERDB_JOURNAL_INIT_ZERO', 'off', (r: ConfigResolution) => r.config.journal.initZero, false],
    ['COMMANDERDB_JOURNAL_RECYCLE', '0', (r: ConfigResolution) => r.config.journal.recycle, false],
    ['COMMANDERDB_JOURNAL_RECYCLE', 'yes', (r: ConfigResolution) => r.config.journal.recycle, true],
    [
      'COMMANDERDB_JOURNAL_MAX_JOURNAL_BYTES',
      '2_147_483_648',
      (r: ConfigResolution) => r.config.journal.maxJournalBytes,
      2_147_483_648,
    ],
    [
      'COMMANDERDB_JOURNAL_CHECKPOINT_COMPLETION_TARGET',
      '0.5',
      (r: ConfigResolution) => r.config.journal.checkpointCompletionTarget,
      0.5,
    ],
    ['COMMANDERDB_HTTP_PORT', 'false', (r: ConfigResolution) => r.config.http, false],
    ['COMMANDERDB_PROCESSES_GATEWAY_NICE', '-5', (r: ConfigResolution) => r.config.processes.gateway.nice, -5],
    [
      'COMMANDERDB_PROCESSES_GATEWAY_CPUS',
      '0-2, 5',
      (r: ConfigResolution) => r.config.processes.gateway.cpus,
      [0, 1, 2, 5],
    ],
    [
      'COMMANDERDB_PROCESSES_GATEWAY_ENV',
      '{"A":"b"}',
      (r: ConfigResolution) => r.config.processes.gateway.env,
      { A: 'b' },
    ],
    [
      'COMMANDERDB_PROCESSES_GATEWAY_NODE_OPTIONS',
      '--a=1 --b',
      (r: ConfigResolution) => r.config.processes.gateway.nodeOptions,
      ['--a=1', '--b'],
    ],
    [
      'COMMANDERDB_APPLICATIONS',
      'a.ts,b.ts',
      (r: ConfigResolution) => r.config.applications.map(({ module }) => module),
      ['/srv/shop/a.ts', '/srv/shop/b.ts'],
    ],
    [
      'COMMANDERDB_APPLICATIONS',
      '[{"module":"a.ts","resources":{"nice":1}}]',
      (r: ConfigResolution) => r.config.applications[0]?.resources,
      { nice: 1, ...defaultResources },
    ],
  ])('%s=%s is read as its kind', (variable, text, pick, value) => {
    expect(pick(resolve({ env: { [variable]: text } }))).toEqual(value)
  })

  it.each([
    [
      'COMMANDERDB_HTTP_PORT',
      '74oo',
      /^COMMANDERDB_HTTP_PORT: http\.port is "74oo", but must be an integer from 0 to 65535, or false$/,
    ],
    ['COMMANDERDB_HTTP_PORT', '1.5', /http\.port is 1\.5/],
    ['COMMANDERDB_JOURNAL_INIT_ZERO', 'maybe', /journal\.initZero is "maybe", but must be true or false/],
    [
      'COMMANDERDB_PROCESSES_GATEWAY_CPUS',
      '3-1',
      /processes\.gateway\.cpus is an array, but must be a list of at least one integer/,
    ],
    ['COMMANDERDB_PROCESSES_GATEWAY_CPUS', '0-99999999999', /processes\.gateway\.cpus/],
    ['COMMANDERDB_PROCESSES_GATEWAY_ENV', 'A=b', /processes\.gateway\.env is "A=b", but must be an object/],
    ['COMMANDERDB_SECURITY_TOKENS', 'abc', /security\.tokens is "abc", but must be a list/],
  ])('%s=%s is refused by its name', (variable, text, message) => {
    expect(messageFrom(() => resolve({ env: { [variable]: text } }))).toMatch(message)
  })
})

describe('http', () => {
  it.each([[{ http: false }], [{ http: { port: false } }], [{ http: { host: 'localhost', port: false } }]])(
    '%j turns it off',
    (file) => {
      expect(resolveFile(file).config.http).toBe(false)
    },
  )

  it('can be turned on again by a flag', () => {
    expect(resolve({ file: { http: false }, flags: { httpPort: '0' } }).config.http).toEqual({
      host: '127.0.0.1',
      port: 0,
    })
  })
})

describe('an unknown key', () => {
  it.each([
    [{ dataDirectory: 'x' }, 'dataDirectory', 'dataDir'],
    [{ jurnal: {} }, 'jurnal', 'journal'],
    [{ journal: { segmentByte: 1 } }, 'journal.segmentByte', 'journal.segmentBytes'],
    [{ segmentBytes: 1 }, 'segmentBytes', 'journal.segmentBytes'],
    [{ processes: { gatway: {} } }, 'processes.gatway', 'processes.gateway'],
    [
      { processes: { gateway: { maxRSSMb: 1, maxRssMB: 2 } } },
      'processes.gateway.maxRSSMb',
      'processes.gateway.maxRssMb',
    ],
    [{ applications: [{ module: 'a' }, { modul: 'b' }] }, 'applications[1].modul', 'applications[1].module'],
    [{ limits: { payload: 1 } }, 'limits.payload', 'limits.payloadBytes'],
  ])('in %j is named, with the file and the nearest known key', (file, key, nearest) => {
    expect(messageFrom(() => resolveFile(file))).toBe(
      `${fileName}: the key ${key} is not known; the nearest known key is ${nearest}`,
    )
  })

  it('is refused even where it names something that every object has', () => {
    expect(messageFrom(() => resolveFile({ constructor: 1 }))).toContain('the key constructor is not known')
    expect(messageFrom(() => resolveFile(JSON.parse('{"__proto__":1}')))).toContain('the key __proto__ is not known')
  })
})

describe('a wrong value', () => {
  const token = { name: 'shop', sha256: 'a'.repeat(64), scopes: ['send'] }
  it.each([
    [5, /: it is 5, but must be an object/],
    [{ journal: 5 }, /: journal is 5, but must be an object/],
    [
      { journal: { segmentBytes: '64MB' } },
      /: journal\.segmentBytes is "64MB", but must be a multiple of 4096 from 1048576 to 1073741824 \(bytes\)/,
    ],
    [{ journal: { segmentBytes: 1_048_577 } }, /journal\.segmentBytes is 1048577/],
    [{ journal: { checkpointCompletionTarget: 1.1 } }, /is 1\.1, but must be a number from 0 to 1/],
    [{ journal: { durability: 'none' } }, /journal\.durability is "none", but must be one of flushed, written/],
    [
      { journal: { maxJournalBytes: 67_108_864 } },
      /journal\.maxJournalBytes is 67108864, but must be at least twice journal\.segmentBytes, 134217728/,
    ],
    [{ http: { port: 65_536 } }, /http\.port is 65536/],
    [{ http: { host: '' } }, /http\.host is "", but must be a text that is not empty/],
    [{ dataDir: 5 }, /dataDir is 5, but must be a path/],
    [{ applications: {} }, /applications is an object, but must be a list/],
    [{ applications: [{}] }, /applications\[0\]\.module is missing/],
    [{ applications: [{ module: 'a.ts', instances: 0 }] }, /applications\[0\]\.instances is 0/],
    [
      { applications: [{ module: 'a.ts' }, { module: './a.ts' }] },
      /applications\[1\]\.module is "\/etc\/bank\/a\.ts" again/,
    ],
    [
      { applications: [{ module: 'a.ts', resources: { restart: { periodMs: 1 } } }] },
      /applications\[0\]\.resources\.restart\.periodMs is 1/,
    ],
    [
      { processes: { gateway: { env: { A: 1 } } } },
      /processes\.gateway\.env is an object, but must be an object whose values are all texts/,
    ],
    [{ limits: { payloadBytes: 4_194_305 } }, /limits\.payloadBytes is 4194305/],
    [{ archive: { directory: 'a', s3: { bucket: 'b' } } }, /archive\.directory is given beside archive\.s3/],
    [{ archive: { s3: { region: 'b' } } }, /archive\.s3\.region is given without archive\.s3\.bucket/],
    [
      { security: { tokens: [{ ...token, sha256: 'secret' }] } },
      /security\.tokens\[0\]\.sha256 is another text, but must be 64 hexadecimal digits/,
    ],
    [
      { security: { tokens: [{ ...token, scopes: [] }] } },
      /scopes is an array, but must be a list of at least one of send, read/,
    ],
    [{ replication: { journal: 'raft' } }, /replication\.journal is "raft", but must be one of local, replicated/],
    [{ replication: { nodeId: 'Node 1' } }, /replication\.nodeId is "Node 1", but must be up to 63 small letters/],
    [
      { replication: { metadata: 'zk://a' } },
      /replication\.metadata is "zk:\/\/a", but must be file:DIRECTORY, or etcd:/,
    ],
    [
      { replication: { policy: { replicas: 17 } } },
      /replication\.policy\.replicas is 17, but must be an integer from 1 to 16/,
    ],
    [{ replication: { policy: { topology: 'ring' } } }, /topology is "ring", but must be one of fanout, chain/],
    [
      { replication: { policy: { replicas: 3, ackQuorum: 4 } } },
      /replication\.policy\.ackQuorum is 4, but there are only 3 replicas/,
    ],
    [{ replication: { leaseMs: 100 } }, /replication\.leaseMs is 100, but must be an integer from 500 to 60000 \(ms\)/],
    [{ replication: { listen: '7500' } }, /replication\.listen is "7500", but must be HOST:PORT/],
    [
      { replication: { ...replicated, listen: '0.0.0.0:7500' } },
      /replication\.listen is "0\.0\.0\.0:7500", which other hosts reach, but there is no replication\.tls/,
    ],
    [{ security: { tokens: [token, token] } }, /security\.tokens\[1\]\.name is "shop" again/],
  ])('%j is refused with the file, the key, the value and what it must be', (file, message) => {
    const text = messageFrom(() => resolveFile(file))
    expect(text).toMatch(message)
    expect(text.startsWith(fileName)).toBe(true)
  })
})

describe('a replicated journal', () => {
  it('is asked for by three flags', () => {
    const flags = { journal: 'replicated', nodeId: 'a', metadata: 'file:meta' }
    expect(resolve({ flags }).config.replication).toMatchObject({
      journal: 'replicated',
      nodeId: 'a',
      metadata: 'file:/srv/shop/meta',
    })
    const origins = resolve({ flags }).explained.filter(({ key }) => key.startsWith('replication.'))
    expect(origins.slice(0, 4).map(({ key, origin }) => [key, origin.kind])).toEqual([
      ['replication.journal', 'flag'],
      ['replication.nodeId', 'flag'],
      ['replication.clusterId', 'default'],
      ['replication.metadata', 'flag'],
    ])
  })

  it('has its paths from where they were given, and leaves addresses as they are', () => {
    const tls = { ca: 'ca.pem', cert: '/c.pem', key: 'k.pem' }
    const file = { replication: { ...replicated, metadata: 'file:./meta', listen: '10.0.0.1:7500', tls } }
    expect(resolveFile(file).config.replication).toMatchObject({
      metadata: 'file:/etc/bank/meta',
      tls: { ca: '/etc/bank/ca.pem', cert: '/c.pem', key: '/etc/bank/k.pem' },
    })
    expect(resolveFile({ replication: replicated }).config.replication.metadata).toBe('etcd://a:2379,b:2379')
  })

  it.each([
    [{ journal: 'replicated', metadata: 'file:m' }, 'replication.nodeId is missing, and a replicated journal needs it'],
    [{ journal: 'replicated', nodeId: 'a' }, 'replication.metadata is missing, and a replicated journal needs it'],
    [{ tls: { ca: 'a', cert: 'b' } }, 'replication.tls.key is missing: give ca, cert and key, or none of them'],
  ])('%j lacks something', (replication, message) => {
    expect(messageFrom(() => resolveFile({ replication }))).toContain(`${fileName}: ${message}`)
  })

  it('needs room at its journal servers for what the nodes may need', () => {
    const given = (serverBytes: number) => resolveFile({ replication: { ...replicated, servers: 1, serverBytes } })
    expect(given(2 ** 31).config.replication.serverBytes).toBe(2 ** 31)
    expect(messageFrom(() => given(2 ** 30))).toContain(
      'replication.serverBytes is 1073741824, but must be at least 1610612736',
    )
  })

  it('may have an archive, which all nodes must reach: not one that lies with the data of this node', () => {
    const given = (directory: string) =>
      resolveFile({ dataDir: 'data', replication: replicated, archive: { directory } })
    expect(given('a').config.archive).not.toBeNull()
    const text = messageFrom(() => given('data/archive'))
    expect(text).toContain('which lies in the data directory of this node')
    expect(text).toContain('archive.directory is "')
  })

  it('may do without TLS where it is only tried out', () => {
    const replication = { ...replicated, listen: '0.0.0.0:7500', dev: true }
    expect(resolveFile({ replication }).config.replication.dev).toBe(true)
  })
})

describe('explained', () => {
  it('has each value, in the order of the table, with variable and flag', () => {
    const { explained } = resolveFile({ dataDir: 'd', applications: [{ module: 'a.ts' }] })
    expect(explained[0]).toEqual({
      key: 'dataDir',
      value: '/etc/bank/d',
      origin: { kind: 'file', name: fileName },
      help: 'directory of the database',
      variable: 'COMMANDERDB_DATA_DIR',
      flag: '--data-dir',
    })
    expect(explained.find(({ key }) => key === 'applications[0].instances')).toMatchObject({
      value: 1,
      origin: { kind: 'default' },
    })
    expect(explained.find(({ key }) => key === 'archive.directory')).toMatchObject({ value: null })
  })

  it('hides the values of environment variables, which may be secrets', () => {
    const { explained } = resolveFile({ processes: { gateway: { env: { KEY: 'secret' } } } })
    expect(explained.find(({ key }) => key === 'processes.gateway.env')?.value).toEqual({ KEY: '(hidden)' })
    expect(JSON.stringify(explained)).not.toContain('secret')
  })
})

describe('the table of keys', () => {
  it('gives each key a variable and each flag a name of its own', () => {
    const variables = configKeys.map(({ variable }) => variable)
    const attributes = configKeys.flatMap(({ flag }) => (flag === undefined ? [] : [attributeOf(flag)]))
    expect(new Set(variables).size).toBe(variables.length)
    expect(new Set(attributes).size).toBe(attributes.length)
    for (const name of variables) expect(name).toMatch(/^COMMANDERDB_[A-Z0-9]+(_[A-Z0-9]+)*$/)
  })

  it('has defaults that pass their own checks', () => {
    const file = Object.fromEntries(
      configKeys
        .filter((row) => !row.path.includes('.') && row.default !== undefined)
        .map((row) => [row.path, row.default]),
    )
    expect(() => resolveFile(file)).not.toThrow()
  })

  it('names flags as a command-line parser hands them over', () => {
    expect(['--data-dir', '--archive-s3-force-path-style', '--app'].map(attributeOf)).toEqual([
      'dataDir',
      'archiveS3ForcePathStyle',
      'app',
    ])
  })
})
