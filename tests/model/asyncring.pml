/* A ring of results (shim/core/ring.c): producers that reserve, write and publish, one consumer that takes, whoever is
 * stopped at whatever place for as long as you like. Every result is taken once, in its producer's order; nothing
 * written stays unpublished once all producers are through.
 *
 * What the model says of the code (each rule has a wrong variant, by -D, that run.sh sees fail):
 *  - reserved and ikernel are one word, which counts laps  (NO_LAPS: a producer that was stopped between its look and
 *    its swap takes a later lap's word for the one it has seen)
 *  - the place before iuser stays free  (NO_LAST_FREE: a full ring looks empty)
 *  - a place with a cookie is the consumer's still, though iuser has passed it  (NO_COOKIE_LOOK)
 *  - who has written looks for what the others have written, and publishes that too  (OWN_ONLY: of two that finish in
 *    the wrong order nobody publishes the second)
 *  - the cookie is written before that look  (LOOK_FIRST)
 *  - who finds nothing written looks whether the word is still the same: what was there may have been published and
 *    taken meanwhile, and its own be next  (NO_LOOK_AGAIN)
 *
 * Simplified: a place is its cookie alone; memory is sequentially consistent, as the fence before the look makes it
 * where that matters. Laps are counted modulo LAPS, and no producer is stopped for that many. */
#ifndef NP
#define NP 2          /* producers */
#endif
#ifndef OPS
#define OPS 2         /* additions of each */
#endif
#ifndef BATCH
#define BATCH 1       /* results of an addition, of which some may not fit */
#endif
#ifndef SIZE
#define SIZE 2
#endif
#define ALL (NP * OPS * BATCH)
#ifdef NO_LAPS
#define LAPS 1
#else
#define LAPS (ALL + 1)
#endif
#define TURN (LAPS * SIZE)

byte ikernel, reserved; /* one word: only read and moved together */
byte iuser;
byte cookie[SIZE];      /* 0, or producer * 16 + number */
byte next[NP];          /* the number that the consumer is to see next of each, less 1 */
byte stored[NP];
byte done;              /* producers that are through */

#define AFTER(place) ((place + 1) % SIZE)
#define PENDING(k, r) (((r) % SIZE + SIZE - (k)) % SIZE)

/* The free places from `r` on, up to BATCH: free. */
inline count_free(k, r)
{
	atomic { user = iuser; place = r % SIZE; free = 0; }
	do
	:: atomic {
		if
		:: free == BATCH || free == SIZE - 1 - PENDING(k, r) -> break
		:: else -> skip
		fi;
#ifndef NO_LAST_FREE
		if
		:: AFTER(place) == user -> break
		:: else -> skip
		fi;
#endif
#ifndef NO_COOKIE_LOOK
		if
		:: cookie[place] != 0 -> break
		:: else -> skip
		fi;
#endif
		free++;
		place = AFTER(place)
	}
	od
}

/* The written places from `k` on: free. */
inline count_written(k, r)
{
	atomic { place = k; free = 0; }
	do
	:: atomic {
		if
		:: free == PENDING(k, r) || cookie[place] == 0 -> break
		:: else -> free++; place = AFTER(place)
		fi
	}
	od
}

inline publish()
{
	do
	:: atomic { k = ikernel; r = reserved; }
		count_written(k, r);
#ifdef OWN_ONLY
		if
		:: free > 0 && k != first % SIZE -> free = 0
		:: free > count -> free = count
		:: else -> skip
		fi;
#endif
#ifdef NO_LOOK_AGAIN
		if
		:: free == 0 -> break
		:: else -> skip
		fi;
#endif
		atomic {
			if
			:: ikernel == k && reserved == r -> ikernel = (k + free) % SIZE; break
			:: else -> skip
			fi
		}
	od
}

proctype producer(byte me)
{
	byte op = 0, k, r, user, place, free, first, count, i;

	do
	:: op == OPS -> break
	:: else ->
		do
		:: atomic { k = ikernel; r = reserved; }
			count_free(k, r);
			atomic {
				if
				:: ikernel == k && reserved == r ->
					first = r;
					count = free;
					reserved = (r + free) % TURN;
					break
				:: else -> skip
				fi
			}
		od;
		i = 0;
#ifdef LOOK_FIRST
		publish();
#endif
		do
		:: i == count -> break
		:: else -> atomic {
			assert(cookie[(first + i) % SIZE] == 0);
			stored[me]++;
			cookie[(first + i) % SIZE] = me * 16 + stored[me];
			i++
		}
		od;
#ifndef LOOK_FIRST
		publish();
#endif
		op++
	od;
	done++
}

inline look_at(at)
{
	taken = cookie[at];
	assert(taken != 0);
	next[taken / 16]++;
	assert(taken % 16 == next[taken / 16])
}

/* Clears the cookie before it moves iuser, or after; or those of two together. */
proctype consumer()
{
	byte taken, at;

	do
	:: atomic { ikernel != iuser -> look_at(iuser) }
		if
		:: cookie[iuser] = 0; iuser = AFTER(iuser)
		:: at = iuser; iuser = AFTER(iuser); cookie[at] = 0
		:: atomic { AFTER(iuser) != ikernel -> at = iuser; look_at(AFTER(at)) }
			iuser = AFTER(AFTER(at));
			cookie[at] = 0;
			cookie[AFTER(at)] = 0
		fi
	:: atomic { done == NP && ikernel == iuser -> break }
	od;
	assert(reserved % SIZE == ikernel);
	byte p = 0;
	do
	:: p == NP -> break
	:: else -> assert(next[p] == stored[p]); p++
	od
}

init
{
	byte p = 0;

	atomic {
		run consumer();
		do
		:: p == NP -> break
		:: else -> run producer(p); p++
		od
	}
}
