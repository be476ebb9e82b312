/* Fast watches: the hand-shake of writers, of the loop that waits on a front, and of those who demote its watches,
 * add, modify or delete them meanwhile. Two objects with one watch each.
 *
 * What the model says of the code (each rule has a wrong variant, by -D, that run.sh sees fail):
 *  - the queued flag (LISTED) and the watch's state are one word: who clears the one has seen the other at the same
 *    instant, and who demotes knows whether an edge was pending  (POP_LOOKS_FIRST, DEMOTE_LOOKS_LATE)
 *  - LISTED is cleared before the object is evaluated  (LATE_CLEAR)
 *  - a one-shot watch gives up LISTED before it fires  (FIRE_FIRST)
 *  - a writer pushes before it looks whether the loop sleeps  (RING_BEFORE_PUSH)
 *  - the loop says that it sleeps, then looks once more  (NO_LAST_LOOK, SLEEP_LATE)
 *  - who adds a watch publishes the cell, then the bit, then looks at the object  (ADD_LOOKS_FIRST)
 *  - the front is banned before its watches are demoted; who adds one looks again after it published  (NO_BAN_LOOK)
 *  - the bits of the kernel's part are set before the level is looked at, by the demoter and by each writer that finds
 *    the watch demoted  (NO_HELP, BITS_LATE); but after its cell changed, else an edge is told twice  (BITS_FIRST)
 *  - ADD and MOD that find the watch demoted tell the kernel as a writer does  (ADD_NO_HELP)
 *  - an edge that was pending is told by the kernel, one that was told is not told again  (DROP_PENDING, ALWAYS_SETTLE)
 *  - a cell that is LISTED is not used for another front  (REUSE_LISTED)
 *
 * Simplified: settle is one step (level.pml is about it); a counter is 0 or not; the Treiber stack is a set of watches. */
#ifndef NW
#define NW 2          /* writers; writer i writes to object i % OBJECTS */
#endif
#ifndef OPS
#define OPS 2         /* writes of each */
#endif
#ifndef OBJECTS
#define OBJECTS 2
#endif
#ifndef READERS
#define READERS 0     /* other threads that read object 0 once */
#endif
#ifndef MODE0
#define MODE0 LT
#endif
#ifndef MODE1
#define MODE1 LT
#endif
#ifndef FRONTS
#define FRONTS 1
#endif

#define LT 0
#define ET 1
#define ONESHOT 2
#define MODE(o) (o == 0 -> MODE0 : MODE1)

/* a cell: what an object knows of its watch, one word */
#define FREE 0
#define LIVE 1
#define FIRED 2       /* a one-shot watch that has told its event */
#define DEAD 3        /* the kernel's: demoted, or about to be registered there */
#define STATE(c)  ((c) & 3)
#define LISTED 4      /* on the front's list, or about to be */
#define FRONT(c)  ((c) >> 3 & 1)
#define CELL(state, f) ((state) | (f) << 3)
#define SET_STATE(c, state) (((c) & ~3) | (state))

/* watched */
#define FAST 1
#define IN 2
#define EDGE 4
#define KERNEL(o) (MODE(o) == ET -> (IN | EDGE) : IN)

bit count[2];         /* the counter is not 0 */
byte watched[2];
byte cell[2];
byte stack[FRONTS];   /* a bit for each watch on it */
byte mine[FRONTS];    /* the loop's private list */
bit sleeping[FRONTS]; /* the loop is asleep in the kernel, or about to be */
bit bell[FRONTS];     /* an undelivered edge of the doorbell */
bit asleep[FRONTS];
bit banned[FRONTS];

/* the kernel's part */
bit level[2];         /* the FIFO is readable */
byte registered[2];   /* 1 + front of the set that has it */
bit armed[2];         /* of a one-shot watch there */
bit event[2];         /* an undelivered edge of the FIFO */

/* what the properties speak of */
bit owed[2];          /* written to, and nothing reported since */
byte credit[2];       /* reports that writes, and ADD or MOD, allow for */
byte busy;            /* processes other than loops that have not ended */

/* settle up: with `edge` watchers get one even where the level is up */
inline settle(o, edge) {
  atomic {
    if
    :: count[o] ->
         if :: registered[o] && (!level[o] || edge) -> event[o] = 1 :: else fi;
         level[o] = 1
    :: else -> level[o] = 0
    fi
  }
}

/* as a reader does, who made it false; where it is true again, the FIFO it emptied is filled anew: an edge besides */
inline settle_down(o) {
  atomic {
    if :: count[o] && MODE(o) == ET -> credit[o]++ :: else fi;
    settle(o, 1)
  }
}

/* EPOLL_CTL_ADD: the kernel looks at the level */
inline kernel_add(o, f, arm) {
  atomic { registered[o] = 1 + f; armed[o] = arm; event[o] = level[o] }
}

/* onto the list of front f, then the doorbell */
inline push(o, f) {
#ifdef RING_BEFORE_PUSH
  atomic { s = sleeping[f]; sleeping[f] = 0 };
  atomic { assert(!((stack[f] | mine[f]) & 1 << o)); stack[f] = stack[f] | 1 << o };
#else
  atomic { assert(!((stack[f] | mine[f]) & 1 << o)); stack[f] = stack[f] | 1 << o };
  if
  :: sleeping[f] -> atomic { s = sleeping[f]; sleeping[f] = 0 }   /* exchange: one ring for many writers */
  :: else -> s = 0
  fi;
#endif
  if :: s -> bell[f] = 1 :: else fi
}

/* makes sure that the watch, if it lives, is on its front's list; c: the cell as it was last seen */
inline tell(o, c) {
  c = cell[o];
  do
  :: STATE(c) != LIVE || (c & LISTED) -> break
  :: else ->
       atomic {                                         /* CAS */
         if
         :: cell[o] == c -> cell[o] = c | LISTED; ok = 1
         :: else -> c = cell[o]; ok = 0
         fi
       };
       if :: ok -> push(o, FRONT(c)); break :: else fi
  od
}

/* a write that finds the watch demoted, or being demoted, is the kernel's to tell */
inline tell_kernel(o, w, c) {
  if
  :: STATE(c) == DEAD ->
#ifndef NO_HELP
       atomic { watched[o] = watched[o] | KERNEL(o) };
#endif
       w = watched[o]
  :: else
  fi;
  if :: w & IN -> settle(o, (w & EDGE) != 0) :: else fi
}

/* ADD and MOD of a watch that is ready at once: as a write, but for watches that were the kernel's before */
inline tell_added(o, w, c) {
  if
  :: count[o] ->
       tell(o, c);
#ifndef ADD_NO_HELP
       if :: STATE(c) == DEAD -> w = 0; tell_kernel(o, w, c) :: else fi
#endif
  :: else
  fi
}

proctype Writer(bit o) {
  byte i, w, c; bit s, ok;
  for (i : 1 .. OPS) {
    atomic { count[o] = 1; owed[o] = 1; if :: MODE(o) == ET -> credit[o]++ :: else fi };
    w = watched[o];
    c = FREE;
    if :: w & FAST -> tell(o, c) :: else fi;
    tell_kernel(o, w, c);
    d_step { w = 0; c = 0; s = 0; ok = 0 }              /* fewer states */
  }
  busy--
}

inline read_counter(o) {
  atomic { count[o] = 0; owed[o] = 0 };
  if :: watched[o] & IN -> settle_down(o) :: else fi
}

proctype Reader() { read_counter(0); busy-- }

inline reported(o) {
  owed[o] = 0;
  if
  :: MODE(o) == ET -> assert(credit[o] > 0); credit[o]--
  :: else
  fi
}

/* EPOLL_CTL_MOD of a one-shot watch, by whoever was told its event */
inline rearm(o) {
  atomic {
    if
    :: STATE(cell[o]) == FIRED -> cell[o] = SET_STATE(cell[o], LIVE); ok = 1
    :: else -> ok = 0
    fi
  };
  if
  :: ok ->
       tell_added(o, w, c)
  :: else ->
       if
       :: STATE(cell[o]) == DEAD || registered[o] ->
            registered[o] > 0;
            settle(o, 0);
            armed[o] = 1
       :: else                                          /* deleted, or armed already */
       fi
  fi
}

/* the program that is told: it may read, or not */
inline program(o) {
  if
  :: MODE(o) == LT -> if :: read_counter(o) :: skip fi
  :: MODE(o) == ONESHOT -> if :: read_counter(o) :: skip fi; rearm(o)
  :: else
  fi
}

inline evaluate(o) { d_step { got = count[o]; if :: got && MODE(o) != ONESHOT -> reported(o) :: else fi } }

/* compare-and-swap of LIVE; who fails has nothing to report, or looks again */
inline fire(o) {
  atomic {
    if
    :: STATE(cell[o]) == LIVE -> cell[o] = SET_STATE(cell[o], FIRED); owed[o] = 0
    :: else -> got = 0
    fi
  }
}

/* takes watch o from the private list; got: it is reported */
inline pop(o) {
  c = cell[o];
  got = 0;
#ifdef LATE_CLEAR
  if :: STATE(c) == LIVE && FRONT(c) == self -> evaluate(o) :: else fi;
  if :: got && MODE(o) == LT -> skip
  :: else ->
       mine[self] = mine[self] & ~(1 << o);
       atomic { c = cell[o]; cell[o] = c & ~LISTED };
       if :: got && MODE(o) == ONESHOT -> fire(o) :: else fi
  fi;
#else
  if
  :: MODE(o) == LT && STATE(c) == LIVE -> evaluate(o)
  :: else
  fi;
  if
  :: got                                                /* stays listed */
  :: else ->
       mine[self] = mine[self] & ~(1 << o);
#ifdef POP_LOOKS_FIRST
       atomic { cell[o] = cell[o] & ~LISTED };
#else
#ifdef FIRE_FIRST
       if :: MODE(o) == ONESHOT && STATE(c) == LIVE && count[o] -> got = 1; fire(o) :: else fi;
#endif
       atomic { c = cell[o]; cell[o] = c & ~LISTED };   /* first open the door ... */
#endif
       if                                               /* ... then look */
       :: STATE(c) == LIVE -> evaluate(o)
       :: else
       fi;
       if
       :: got && MODE(o) == LT ->
            c = c & ~LISTED;
            atomic { if :: cell[o] == c -> cell[o] = c | LISTED; mine[self] = mine[self] | 1 << o :: else fi }
       :: got && MODE(o) == ONESHOT -> fire(o)
       :: else
       fi
  fi;
#endif
  if :: got -> program(o) :: else fi
}

/* what a kernel watch has to tell */
#define READY(o, f) (registered[o] == 1 + f && \
	(MODE(o) == LT -> level[o] : (MODE(o) == ET -> event[o] : (armed[o] && level[o]))))

inline from_kernel(o, f) {
  atomic {
    if
    :: READY(o, f) && count[o] -> event[o] = 0; armed[o] = 0; reported(o); got = 1
    :: READY(o, f) && !count[o] ->
         assert(busy > 0 || MODE(o) == ET);             /* a stale level, and nobody who takes it down */
         event[o] = 0; got = 0
    :: else -> got = 0
    fi
  };
  if :: got -> program(o) :: else fi
}

proctype Loop(bit self) {
  byte c, w; bit got, s, ok;
end:
  do
  :: atomic {
       d_step { c = 0; w = 0; got = 0; s = 0; ok = 0 };   /* fewer states */
       assert(!(mine[self] & stack[self])); mine[self] = mine[self] | stack[self]; stack[self] = 0
     };
     if
     :: mine[self] & 1 -> pop(0)
     :: mine[self] & 2 -> pop(1)
     :: mine[self] && READY(0, self) -> from_kernel(0, self)
     :: mine[self] && READY(1, self) -> from_kernel(1, self)
     :: !mine[self] ->
#ifdef SLEEP_LATE
          if :: stack[self] -> skip :: else -> sleeping[self] = 1;
#else
          sleeping[self] = 1;
          if
#ifndef NO_LAST_LOOK
          :: stack[self] -> sleeping[self] = 0          /* looked once more */
#endif
          :: else ->
#endif
               asleep[self] = 1;
endsleep:      atomic { bell[self] || READY(0, self) || READY(1, self) -> bell[self] = 0; asleep[self] = 0 };
               sleeping[self] = 0;
               from_kernel(0, self);
               from_kernel(1, self)
          fi
     fi
  od
}

/* one watch becomes the kernel's */
inline demote(o, f) {
#ifdef BITS_FIRST
  if :: STATE(cell[o]) != FREE -> atomic { watched[o] = watched[o] | KERNEL(o) } :: else fi;
#endif
  atomic {                                              /* CAS, tried again while it fails */
    c = cell[o];
    ok = (STATE(c) == LIVE || STATE(c) == FIRED) && FRONT(c) == f;
    if :: ok -> cell[o] = SET_STATE(c, DEAD) :: else fi
  };
#ifdef DEMOTE_LOOKS_LATE
  if :: ok -> c = SET_STATE(cell[o], STATE(c)) :: else fi;
#endif
  if
  :: ok ->
#ifndef BITS_LATE
       atomic { watched[o] = watched[o] | KERNEL(o) };
#endif
       if
#ifndef DROP_PENDING
       :: (MODE(o) != ET || (c & LISTED)) -> settle(o, 0)
#endif
#ifdef ALWAYS_SETTLE
       :: MODE(o) == ET -> settle(o, 0)
#endif
       :: else
       fi;
#ifdef BITS_LATE
       atomic { watched[o] = watched[o] | KERNEL(o) };
#endif
       kernel_add(o, f, STATE(c) == LIVE)
  :: else
  fi
}

/* fork, a second waiter, ...: the front as a whole */
proctype Demoter() {
  byte c, w; bit ok, s, got;
  banned[0] = 1;
  demote(0, 0);
  demote(1, 0);
  d_step { c = 0; ok = 0; busy-- }
#ifdef SECOND_WAITER
  /* sleeps beside the loop, and takes any event of the set from it, the doorbell's too */
end:
  do
  :: atomic { bell[0] -> bell[0] = 0 }
  :: atomic { READY(0, 0) -> busy++ }; from_kernel(0, 0); busy--
  :: atomic { READY(1, 0) -> busy++ }; from_kernel(1, 0); busy--
  od
#endif
}

/* EPOLL_CTL_ADD of a free cell's object */
inline add(o, f) {
  atomic { if :: MODE(o) == ET -> credit[o]++ :: else fi };
  s = banned[f];
  atomic {                                              /* CAS */
    c = cell[o];
#ifdef REUSE_LISTED
    ok = STATE(c) == FREE && !s;
    if :: ok -> cell[o] = CELL(LIVE, f) :: else fi
#else
    ok = STATE(c) == FREE && !s && (!(c & LISTED) || FRONT(c) == f);
    if :: ok -> cell[o] = CELL(LIVE, f) | (c & LISTED) :: else fi
#endif
  };
  if
  :: ok ->
#ifdef ADD_LOOKS_FIRST
       tell_added(o, w, c);
       atomic { watched[o] = watched[o] | FAST }
#else
       atomic { watched[o] = watched[o] | FAST };
       tell_added(o, w, c)
#endif
#ifndef NO_BAN_LOOK
       ;
       if :: banned[f] -> demote(o, f) :: else fi
#endif
  :: else ->
       atomic { watched[o] = watched[o] | KERNEL(o) };
       settle(o, 0);
       kernel_add(o, f, 1)
  fi
}

proctype Adder(bit o; bit f) {
  byte c, w; bit ok, s;
  add(o, f);
  d_step { c = 0; w = 0; s = 0; ok = 0; busy-- }
}

/* EPOLL_CTL_DEL from the first front, ADD to the last one */
proctype Mover(bit o) {
  byte c, w; bit ok, s;
  atomic { cell[o] = SET_STATE(cell[o], FREE) };
  add(o, FRONTS - 1);
  d_step { c = 0; w = 0; s = 0; ok = 0; busy-- }
}

#define ASLEEP(f) (asleep[f] && !bell[f] && !READY(0, f) && !READY(1, f))

init {
  byte i;
  atomic {
    for (i : 1 .. FRONTS) { run Loop(i - 1) };
#ifdef ADD
    busy++; run Adder(0, 0);
#else
    cell[0] = CELL(LIVE, 0); watched[0] = FAST;
#endif
    if :: OBJECTS > 1 -> cell[1] = CELL(LIVE, 0); watched[1] = FAST :: else fi;
    for (i : 1 .. NW) { busy++; run Writer(i % OBJECTS) };
#if READERS
    for (i : 1 .. READERS) { busy++; run Reader() };
#endif
#ifdef DEMOTE
    busy++; run Demoter();
#endif
#ifdef MOVE
    busy++; run Mover(0);
#endif
  };
  /* nothing moves any more: nothing may be left unreported, nor fast on a banned front */
  i = 0;
  (busy == 0 && ASLEEP(0) && ASLEEP(FRONTS - 1));
  assert(!(banned[0] && STATE(cell[0]) == LIVE && FRONT(cell[0]) == 0));
  assert(!(count[0] && MODE0 != ET) && !(owed[0] && MODE0 == ET));
  assert(!(count[1] && MODE1 != ET) && !(owed[1] && MODE1 == ET))
}
