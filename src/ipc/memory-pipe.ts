import { CommanderError } from '../kernel/errors.ts'
import type { BytePipe } from './byte-pipe.ts'
import type { Link } from './link.ts'

/** What the pipes of one memory network share. */
export interface PipeNetwork {
  readonly copyBytes: boolean
  /** All joined pipes that are not over. */
  readonly pipes: Set<MemoryPipe>
  /** Runs after the delay of one delivery. */
  later(run: () => void): void
}

/** Who accepted a connection: keeps count of its pipes. */
export interface PipeAcceptor {
  readonly address: string
  began(pipe: MemoryPipe): void
  over(pipe: MemoryPipe): void
}

/** One direction of a connection: carries what its link writes to the link of the other pipe. */
export class MemoryPipe implements BytePipe {
  link: Link | null = null
  isOver = false
  readonly owner: object
  readonly acceptor: PipeAcceptor | null
  readonly #network: PipeNetwork
  readonly #deliver: () => void
  #other: MemoryPipe | null = null
  #ended = false
  /** Gathered writes under way, oldest first; null is the end. */
  #underWay: (readonly Buffer[] | null)[] = []

  /** @param owner the endpoint that dies with `abandon`; `acceptor` is null on the side that connects. */
  constructor(network: PipeNetwork, owner: object, acceptor: PipeAcceptor | null) {
    this.#network = network
    this.owner = owner
    this.acceptor = acceptor
    this.#deliver = () => this.#deliverNext()
  }

  join(other: MemoryPipe): void {
    for (const [pipe, peer] of [[this, other] as const, [other, this] as const]) {
      pipe.#other = peer
      pipe.#network.pipes.add(pipe)
      pipe.acceptor?.began(pipe)
    }
  }

  write(buffers: readonly Buffer[]): void {
    if (!this.#ended) this.#post(buffers)
  }

  end(): void {
    if (this.#ended) return
    this.#post(null)
    this.#ended = true
  }

  destroy(): void {
    if (this.#other === null) this.isOver = true
    else if (!this.isOver) this.cut()
  }

  /** Both directions end and what is under way is lost. */
  cut(): void {
    for (const pipe of [this, this.#other]) {
      if (pipe === null) continue
      pipe.#underWay = []
      pipe.#ended = true
      pipe.#network.later(() => pipe.#over(new CommanderError('connection_lost', 'the connection was cut')))
    }
  }

  /** The owner is dead: what it wrote still arrives, followed by the end. */
  abandon(): void {
    this.link = null
    this.end()
  }

  #post(item: readonly Buffer[] | null): void {
    this.#underWay.push(item)
    // Each post sets off one delivery of the oldest item: in order, however the delays turn out.
    this.#network.later(this.#deliver)
  }

  #deliverNext(): void {
    const item = this.#underWay.shift()
    const other = this.#other
    if (item === undefined || other === null) return
    if (item === null) {
      other.end()
      other.#over(null)
      return
    }
    for (const buffer of item) other.link?.receive(this.#network.copyBytes ? Buffer.from(buffer) : buffer)
  }

  #over(error: CommanderError | null): void {
    if (this.isOver) return
    this.isOver = true
    this.#network.pipes.delete(this)
    this.link?.ended(error)
    this.acceptor?.over(this)
  }
}
