import { readFileSync } from 'node:fs'
import { isIP, type Socket } from 'node:net'
import {
  checkServerIdentity,
  connect as connectTls,
  createServer,
  type PeerCertificate,
  type TLSSocket,
} from 'node:tls'
import { AssertionError } from '../kernel/assert.ts'
import { CommanderError, isCommanderError, messageOf } from '../kernel/errors.ts'
import type { Channel, ChannelHandlers, Listener, Transport } from './channel.ts'
import { Link, type LinkBounds, type LinkEnvironment } from './link.ts'
import { followSocket, SocketPipe } from './socket-pipe.ts'
import { parseTlsAddress, type TlsAddress } from './tls-address.ts'

/** Who we are, and whom we trust: PEM. Every process of a cluster has a certificate of the cluster's own authority. */
export interface TlsIdentity {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

/** Paths of PEM files, as a configuration has them. @throws CommanderError invalid_config */
export function readTlsIdentity({ ca, cert, key }: TlsIdentity): TlsIdentity {
  return { ca: readPem('ca', ca), cert: readPem('cert', cert), key: readPem('key', key) }
}

function readPem(what: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw unreadable(what, path, cause)
  }
}

const unreadable = (what: string, path: string, cause: unknown): CommanderError =>
  new CommanderError('invalid_config', `replication.tls.${what} cannot be read: ${messageOf(cause)}`, {
    details: { name: `replication.tls.${what}`, value: path },
    cause,
  })

export interface TlsBounds extends LinkBounds {
  /** Connections that one listener holds at a time; further ones are cut. Default 4096. */
  readonly connectionsMax?: number
}

const connectionsMaxDefault = 4096
const handshakeTimeoutMs = 10_000
/** A host that has gone without a word is noticed some time after this. */
const keepAliveMs = 10_000

/**
 * Channels over TCP with TLS 1.3, both sides with a certificate of one authority. A side that does not accept the other's says
 * why before it closes: the handshake itself lets everybody in who has any certificate or none, and what was decided on it is told in
 * the channel's own words. Nothing that an unaccepted peer sends is looked at.
 *
 * @param identity null: none is configured, and whoever uses such an address is told so
 */
export function createTlsTransport(
  environment: LinkEnvironment,
  identity: TlsIdentity | null,
  bounds: TlsBounds = {},
): Transport {
  return {
    listen: (address, accept) => listen(environment, identity, bounds, address, accept),
    connect: (address, open) => connect(environment, identity, bounds, address, open),
  }
}

const versions = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' } as const

async function listen(
  environment: LinkEnvironment,
  identity: TlsIdentity | null,
  bounds: TlsBounds,
  address: string,
  accept: (channel: Channel) => ChannelHandlers,
): Promise<Listener> {
  const { host, port } = parseTlsAddress(address)
  const { log } = environment
  /** In the handshake, by the other end: who does not finish it has no link that would end it. */
  const greeting = new Map<string, Socket>()
  const links = new Set<Link>()
  if (identity === null) throw withoutCertificates(address)
  const server = makeServer(identity, address)
  server.maxConnections = bounds.connectionsMax ?? connectionsMaxDefault
  server.on('connection', (socket: Socket) => {
    const end = endOf(socket)
    greeting.set(end, socket)
    socket.on('error', () => undefined)
    socket.on('close', () => {
      if (greeting.get(end) === socket) greeting.delete(end)
    })
  })
  server.on('tlsClientError', (error) => {
    log.warn({ address, err: error }, `no TLS with a client of ${address}: ${handshakeText(error)}`)
  })
  server.on('secureConnection', (socket: TLSSocket) => {
    greeting.delete(endOf(socket))
    const fault = faultOf(socket)
    const name = nameOf(socket.getPeerCertificate())
    const peer = `${name ?? 'somebody'}, a client of ${address}`
    const open = fault === null ? accept : noChannel
    const link = new Link({ peer, pipe: new SocketPipe(socket), environment, bounds, open, role: 'accepts' })
    links.add(link)
    begin(socket, link, () => links.delete(link))
    if (fault === null) return
    const error = notAccepted(`${peer},`, fault)
    log.warn({ address, code: error.code }, error.message)
    link.close(error)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(listenError(address, cause)))
    server.listen({ host, port, exclusive: true }, resolve)
  })
  server.on('error', (cause) =>
    log.warn({ address, err: cause }, `the listener at ${address} failed: ${cause.message}`),
  )
  const { promise: closed, resolve: over } = Promise.withResolvers<void>()
  let isClosing = false
  const close = (): Promise<void> => {
    if (isClosing) return closed
    isClosing = true
    server.close(() => over())
    for (const link of links) link.close()
    for (const socket of greeting.values()) socket.destroy()
    return closed
  }
  return { address, close }
}

const endOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`

/** Never called: who is refused is not listened to. */
function noChannel(): never {
  throw new AssertionError('a refused peer has no channel')
}

function makeServer({ ca, cert, key }: TlsIdentity, address: string): ReturnType<typeof createServer> {
  try {
    const asked = { requestCert: true, rejectUnauthorized: false, handshakeTimeout: handshakeTimeoutMs }
    return createServer({ ca, cert, key, ...versions, ...asked })
  } catch (cause) {
    throw badIdentity(address, cause)
  }
}

function connect(
  environment: LinkEnvironment,
  identity: TlsIdentity | null,
  bounds: LinkBounds,
  address: string,
  open: (channel: Channel) => ChannelHandlers,
): void {
  const pipe = new SocketPipe(null)
  const link = new Link({ peer: address, pipe, environment, bounds, open, role: 'connects' })
  try {
    const to = parseTlsAddress(address)
    const { host, port } = to
    if (identity === null) throw withoutCertificates(address)
    const { ca, cert, key } = identity
    const socket = connectTls({
      host,
      port,
      ca,
      cert,
      key,
      ...versions,
      ...(isIP(host) === 0 ? { servername: host } : {}),
      rejectUnauthorized: false,
      checkServerIdentity: (_host, certificate) => wrongName(to, certificate),
    })
    pipe.socket = socket
    socket.once('secureConnect', () => {
      const fault = faultOf(socket)
      link.connected()
      if (fault !== null)
        link.close(notAccepted(`${nameOf(socket.getPeerCertificate()) ?? 'somebody'} at ${address},`, fault))
    })
    follow(socket, link, () => undefined)
  } catch (cause) {
    link.ended(isCommanderError(cause) ? cause : badIdentity(address, cause))
  }
}

function begin(socket: TLSSocket, link: Link, over: () => void): void {
  follow(socket, link, over)
  link.connected()
}

function follow(socket: TLSSocket, link: Link, over: () => void): void {
  socket.setNoDelay(true)
  socket.setKeepAlive(true, keepAliveMs)
  socket.on('data', (data: Buffer) => link.receive(data))
  followSocket(socket, link, connectionError, over)
}

/** Why the other side's certificate is not accepted; null when it is. */
function faultOf(socket: TLSSocket): string | null {
  if (socket.authorized) return null
  if (Object.keys(socket.getPeerCertificate()).length === 0) return 'it has none'
  const reason = socket.authorizationError as unknown
  const code = reason instanceof Error ? reason.message : String(reason)
  return certificateFaults[code] ?? code
}

const certificateFaults: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'it has expired (CERT_HAS_EXPIRED)',
  CERT_NOT_YET_VALID: 'it is not valid yet (CERT_NOT_YET_VALID)',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'it is signed by itself (DEPTH_ZERO_SELF_SIGNED_CERT)',
  SELF_SIGNED_CERT_IN_CHAIN: 'it is of another authority (SELF_SIGNED_CERT_IN_CHAIN)',
  UNABLE_TO_GET_ISSUER_CERT: 'it is of another authority (UNABLE_TO_GET_ISSUER_CERT)',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'it is of another authority (UNABLE_TO_GET_ISSUER_CERT_LOCALLY)',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'it is of another authority (UNABLE_TO_VERIFY_LEAF_SIGNATURE)',
  CERT_SIGNATURE_FAILURE: 'its signature does not hold (CERT_SIGNATURE_FAILURE)',
  INVALID_PURPOSE: 'it was made for another purpose (INVALID_PURPOSE)',
}

function wrongName({ host, name }: TlsAddress, certificate: PeerCertificate): Error | undefined {
  const names = namesOf(certificate)
  const isRight = name === null ? checkServerIdentity(host, certificate) === undefined : names.includes(name)
  return isRight ? undefined : new Error(`it is that of ${names.join(', ')}, and not of ${name ?? host}`)
}

const nameOf = (certificate: PeerCertificate): string | null => namesOf(certificate)[0] ?? null

/** The common name and the DNS names. */
function namesOf({ subject, subjectaltname }: Partial<PeerCertificate>): string[] {
  const common: string | string[] = subject?.CN ?? []
  const others = (subjectaltname ?? '').split(', ').filter((name) => name.startsWith('DNS:'))
  return [...new Set([common, others.map((name) => name.slice('DNS:'.length))].flat())]
}

const notAccepted = (who: string, fault: string): CommanderError =>
  new CommanderError(
    'forbidden',
    `the certificate of ${who} is not accepted: ${fault}. Both sides need valid certificates of one authority (replication.tls)`,
  )

const withoutCertificates = (address: string): CommanderError =>
  new CommanderError(
    'invalid_config',
    `${address} needs certificates, and none are given: give ca, cert and key of replication.tls (--replication-tls-ca, -cert and -key)`,
  )

const badIdentity = (address: string, cause: unknown): CommanderError =>
  new CommanderError(
    'invalid_config',
    `no TLS for ${address}: ${messageOf(cause)}; check ca, cert and key of replication.tls`,
    { cause },
  )

function listenError(address: string, cause: NodeJS.ErrnoException): CommanderError {
  return cause.code === 'EADDRINUSE'
    ? new CommanderError('database_locked', `somebody listens at ${address} already; stop it first`, { cause })
    : new CommanderError('invalid_config', `cannot listen at ${address}: ${cause.message}`, { cause })
}

function connectionError(address: string, cause: unknown): CommanderError {
  const code = (cause as NodeJS.ErrnoException).code
  return code === 'ECONNREFUSED'
    ? new CommanderError('no_database', `nobody listens at ${address} (${code}); start it first`, { cause })
    : new CommanderError('connection_lost', `the connection to ${address} failed: ${handshakeText(cause)}`, { cause })
}

const handshakeText = (cause: unknown): string =>
  (cause as { code?: string }).code === 'ERR_SSL_WRONG_VERSION_NUMBER'
    ? 'the peer does not speak TLS'
    : messageOf(cause)
