/*
 * The leader changes the group by itself (a roll), while others may depose it; what is not committed is appended again to the
 * new group under the same LSNs. Beside it: seal, repair and linearizable reads in small. Checked by `npm run models`.
 *
 * Segments 0, 1, 2 lie on three groups of three servers each. LSNs are absolute, so a segment that is opened behind `tail` begins
 * with t = tail everywhere. The swap of the roll is sent, made and heard of in three steps, so that everything may come between.
 */
#define N 3
#ifndef QA
#define QA 2
#endif
#ifndef QS
#define QS (N-QA+1)
#endif
#ifndef QC
#define QC QA
#endif
#ifndef MAXI
#define MAXI 1
#endif
#define AT(g,s) ((g)*N+(s))
#define HAS(x,g,i) ((x[AT(g,0)]>=(i))+(x[AT(g,1)]>=(i))+(x[AT(g,2)]>=(i)))
#define CNT(m) (((m)&1)+(((m)>>1)&1)+(((m)>>2)&1))

byte t[9], p[9], a[9];    /* durable tail, durable promise, highest acknowledged to the segment's writer */
byte epoch = 1, open = 0; /* the record: epoch, and which segment is open */
bool sealed[3]; byte tail[3];
byte acked;               /* highest LSN that any client was told */

byte iss, c;              /* of the first leader: numbered, committed */
byte roll;                /* 0 none, 1 sent, 2 made, 3 known, 4 refused */

inline most(x, y) { if :: y > x -> x = y :: else fi }
inline begin(g, from) { byte i; for (i : 0 .. (N-1)) { t[AT(g,i)] = from; a[AT(g,i)] = from } ; i = 0; open = g }
inline tell(g) { c++; assert(!sealed[g] || c <= tail[g]); most(acked, c) }

active proctype First() { byte s, q, v, known; bool reading;
  do
  :: atomic { iss < MAXI -> iss++ }
  /* appends to the first group: also those that were under way when the roll began */
  :: atomic { select(s : 0 .. (N-1)); if :: p[AT(0,s)] <= 1 && t[AT(0,s)] < iss -> t[AT(0,s)]++; p[AT(0,s)] = 1; a[AT(0,s)] = t[AT(0,s)] :: else fi; s = 0 }
#ifdef M_LATEACK
  :: atomic { roll <= 3 && c < MAXI && HAS(a,0,c+1) >= QA -> tell(0) }
#else
  :: atomic { roll == 0 && c < MAXI && HAS(a,0,c+1) >= QA -> tell(0) }
#endif
  /* the roll */
  :: atomic { roll == 0 -> roll = 1;
#ifndef M_CONFIRMOLD
       reading = 0; q = 0; v = 0; known = 0
#endif
     }
  :: atomic { roll == 1 && epoch == 1 -> epoch = 2; sealed[0] = 1; tail[0] = c; assert(acked <= c); begin(1, c); roll = 2 }
  :: atomic { roll == 1 && epoch != 1 -> roll = 4 }
  :: atomic { roll == 2 -> roll = 3 }
#ifdef M_FORGET
  :: atomic { roll == 2 -> roll = 0 } /* the answer was lost, and is taken for: not made */
#endif
  :: roll == 4 -> break
  /* the same LSNs again, to the second group */
  :: atomic { roll == 3 -> select(s : 0 .. (N-1)); if :: p[AT(1,s)] <= 2 && t[AT(1,s)] < iss -> t[AT(1,s)]++; p[AT(1,s)] = 2; a[AT(1,s)] = t[AT(1,s)] :: else fi; s = 0 }
#ifdef M_OLDGROUP
  :: atomic { roll == 3 && c < MAXI && HAS(a,0,c+1) >= QA -> tell(1) }
#else
  :: atomic { roll == 3 && c < MAXI && HAS(a,1,c+1) >= QA -> tell(1) }
#endif
  /* a linearizable read: what was committed at the start, if so many of the current group have promised nobody else */
#ifdef M_CONFIRMOLD
  :: atomic { !reading && roll <= 3 -> reading = 1; v = c; known = acked; q = 0 }
  :: atomic { reading && roll <= 2 -> select(s : 0 .. (N-1)); if :: p[AT(0,s)] <= 1 -> q = q | (1<<s) :: else fi; s = 0 }
#else
  :: atomic { !reading && (roll == 0 || roll == 3) -> reading = 1; v = c; known = acked; q = 0 }
  :: atomic { reading && roll == 0 -> select(s : 0 .. (N-1)); if :: p[AT(0,s)] <= 1 -> q = q | (1<<s) :: else fi; s = 0 }
#endif
  :: atomic { reading && roll == 3 -> select(s : 0 .. (N-1)); if :: p[AT(1,s)] <= 2 -> q = q | (1<<s) :: else fi; s = 0 }
  :: atomic { reading && CNT(q) >= QC -> assert(v >= known); reading = 0; q = 0; v = 0; known = 0 }
  :: break
  od }

proctype Candidate(byte e) { byte s, told, goal, g, mine, n; bool done;
  atomic { if :: epoch < e -> epoch = e; g = open :: else -> goto over fi };
  if :: g == 2 -> goto over :: else fi;
  do
  :: atomic { select(s : 0 .. (N-1)); if :: !(told & (1<<s)) && p[AT(g,s)] <= e -> p[AT(g,s)] = e; told = told | (1<<s); most(goal, t[AT(g,s)]) :: else fi; s = 0 }
  :: atomic { CNT(told) >= QS -> break }
  :: goto over
  od;
  do
  :: atomic { select(s : 0 .. (N-1)); if :: p[AT(g,s)] <= e && t[AT(g,s)] < goal -> t[AT(g,s)]++; p[AT(g,s)] = e :: else fi; s = 0 }
  :: atomic { HAS(t,g,goal) >= QA -> break }
  :: goto over
  od;
  atomic { if :: epoch != e -> goto over :: else fi;
    sealed[g] = 1; tail[g] = goal; assert(acked <= goal); mine = g + 1; begin(mine, goal); n = goal };
  do
  :: atomic { n == goal -> n++ }
  :: atomic { select(s : 0 .. (N-1)); if :: p[AT(mine,s)] <= e && t[AT(mine,s)] < n -> t[AT(mine,s)]++; p[AT(mine,s)] = e; a[AT(mine,s)] = t[AT(mine,s)] :: else fi; s = 0 }
  :: atomic { !done && HAS(a,mine,goal+1) >= QA -> done = 1; assert(!sealed[mine] || goal + 1 <= tail[mine]); most(acked, goal + 1) }
  :: break
  od;
over: skip }

/* One candidate beside the leader is checked in seconds. Two (-DTWO) are too many states to finish. */
#ifdef TWO
init { atomic { run Candidate(3); run Candidate(4) } }
#else
init { run Candidate(3) }
#endif
