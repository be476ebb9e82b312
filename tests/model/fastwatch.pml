/* Fast watches: the hand-shake of writers, of the loop that waits on a front, and of those who demote its watches,
 * add, modify or delete them meanwhile. Two objects with one watch each.
 *
 * What the model says of the code (each rule has a wrong variant, by -D, that run.sh sees fail):
 *  - the mark that it is listed and the watch's state are one word: who clears the one has seen the other at the same
 *    instant, and who demotes knows whether an edge was pending  (POP_LOOKS_FIRST, DEMOTE_LOOKS_LATE)
 *  - LISTED is cleared before the object is evaluated  (LATE_CLEAR)
 *  - a one-shot watch gives up LISTED before it fires  (FIRE_FIRST)
 *  - a writer pushes before it looks whether the loop sleeps  (RING_BEFORE_PUSH)
 *  - the loop says that it sleeps, then looks once more  (NO_LAST_LOOK, SLEEP_LATE)
 *  - who adds a watch publishes the cell, then the mark, then looks at the object  (ADD_LOOKS_FIRST)
 *  - the front is banned before its watches are demoted; who adds one looks again after it published  (NO_BAN_LOOK)
 *  - the marks of the kernel's part are set before the cell changes and before the level is looked at; a writer that
 *    finds the cell changed looks at them again  (NO_RELOAD)
 *  - as a writer may then use both ways, an edge is told by who first notes that in the watch's record, and a record
 *    never goes back to an older edge  (TELL_ALWAYS, TELL_BACKWARDS)
 *  - a writer counts its edge before it tells anybody  (COUNT_LATE)
 *  - an edge that was told already rests on a FIFO of its own; whoever put it there looks at the edges afterwards, as
 *    one may be in another's hands  (NO_LAST_EDGE); one that was pending is shown  (DROP_PENDING)
 *  - ADD and MOD that find the watch demoted, or about to be, raise the edge  (ADD_NO_RAISE, ADD_WANTS_LIVE)
 *  - who has demoted a watch looks whether it was modified meanwhile, and registers it again  (NO_SECOND_TURN)
 *  - what the kernel tells by the anchor's cookie is not told where the watch has another record, or none, and is being
 *    demoted: it is told from where it is registered  (ANCHOR_TELLS)
 *  - a cell that is LISTED is not used for another front  (REUSE_LISTED)
 *
 * Simplified: settle is one step (level.pml is about it); a counter is 0 or not; the Treiber stack is a set of watches;
 * once the watch is the kernel's, MOD is one step. */
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
#define ONESHOT 2     /* level-triggered */
#define MODE(o) (o == 0 -> MODE0 : MODE1)

/* a cell: what an object knows of its watch, one word */
#define FREE 0
#define LIVE 1
#define FIRED 2       /* LIVE, and a one-shot watch that has told its event */
#define CLAIMED 3
#define MOVING 4      /* being demoted */
#define MOVED 5       /* the kernel's */
#define STATE(c)  ((c) & 7)
#define LIVES(c)  (STATE(c) == LIVE || STATE(c) == FIRED)
#define MOVES(c)  (STATE(c) == MOVING || STATE(c) == MOVED)
#define LISTED 8      /* on the front's list, or about to be */
#define FRONT(c)  ((c) >> 4 & 1)
#define ANEW 32       /* modified while it was MOVING; in the code, another version */
#define CELL(state, f) ((state) | (f) << 4)
#define SET_STATE(c, state) (((c) & ~7) | (state))

/* classes of FIFOs */
#define OWN 0
#define REST 1
#define FIFO(o, class) (2 * (o) + (class))

/* watched */
#define FAST 1
#define COUNTED 2
#define IN 4
#define EDGE 8
#define RESTING 16    /* and an edge of it */
#define FRONTS_MARKS(o) (MODE(o) == ET -> (FAST | COUNTED) : FAST)
#define KERNEL_MARKS(o) (MODE(o) == ET -> (IN | EDGE) : IN)

bit count[2];         /* the counter is not 0 */
byte edges[2];
byte watched[2];
byte cell[2];
byte stack[FRONTS];   /* a bit for each watch on it */
byte mine[FRONTS];    /* the loop's private list */
bit sleeping[FRONTS]; /* the loop is asleep in the kernel, or about to be */
bit bell[FRONTS];     /* an undelivered edge of the doorbell */
bit asleep[FRONTS];
bit banned[FRONTS];
bit taken[FRONTS];    /* the bell is not in the set any more */

/* records: of the anchor, and of a later ADD or MOD; 1 + the edge told of */
#define GONE 255
#define RECORD(o, k) (2 * (o) + (k))
byte told[4];
bit cookie[2];        /* which one the cell has */

/* the kernel's part */
#define NONE 0
#define OFF 1         /* nothing is asked for */
#define COOKIE 2      /* IN and ET with a cookie: the anchor, and edge-triggered watches */
#define USER 3        /* as the user asked, with the user's data */
bit level[4];         /* the FIFO is readable */
bit event[4];         /* an undelivered edge of the FIFO */
byte set_of[2];       /* 1 + front of the set that has it */
byte own[2];          /* how it has the object's own FIFO; */
bit resting[2];       /* and that of class REST, with a cookie */
bit armed[2];         /* of a one-shot watch there */
bit data[2];          /* which cookie */

/* what the properties speak of */
bit owed[2];          /* written to, and nothing reported since */
byte credit[2];       /* reports that writes, ADD and MOD, or of a one-shot watch the last of these two, allow for */
byte busy;            /* processes other than loops that have not ended, and reads under way */

#define SEES_EDGES(o, class) (class == REST -> resting[o] : (own[o] == COOKIE || (own[o] == USER && MODE(o) == ET)))

/* settle up: with `edge` watchers get one even where the level is up */
inline settle(o, class, edge) {
  atomic {
    if
    :: count[o] ->
         if :: SEES_EDGES(o, class) && (!level[FIFO(o, class)] || edge) -> event[FIFO(o, class)] = 1 :: else fi;
         level[FIFO(o, class)] = 1
    :: else -> level[FIFO(o, class)] = 0; event[FIFO(o, class)] = 0
    fi
  }
}

/* EPOLL_CTL_ADD, MOD: the kernel looks at the level */
inline control(o, f, how, arm) {
  atomic { set_of[o] = 1 + f; own[o] = how; armed[o] = arm; event[FIFO(o, OWN)] = level[FIFO(o, OWN)] && SEES_EDGES(o, OWN) }
}

/* onto the list of front f, then the doorbell */
inline list(o, f) {
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
  if :: s -> bell[f] = !taken[f] :: else fi
}

/* makes sure that the watch, if it lives, is on its front's list; c: the cell as it was last seen */
inline push(o, c) {
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
       if :: ok -> list(o, FRONT(c)); break :: else fi
  od
}

proctype Writer(bit o) {
  byte i, w, c; bit s, ok, shown;
  for (i : 1 .. OPS) {
#ifdef COUNT_FIRST
    if :: watched[o] & COUNTED -> edges[o]++ :: else fi;
#endif
    atomic { count[o] = 1; owed[o] = 1; if :: MODE(o) == ET -> credit[o]++ :: else fi };
    w = watched[o];
    if :: (w & (IN | EDGE)) == IN -> shown = level[FIFO(o, OWN)] :: else fi;
    if
    :: w & FAST ->
#if !defined(COUNT_FIRST) && !defined(COUNT_LATE)
         if :: w & COUNTED -> edges[o]++ :: else fi;
#endif
         push(o, c);
#ifdef COUNT_LATE
         if :: w & COUNTED -> edges[o]++ :: else fi;
#endif
#ifndef NO_RELOAD
         if :: MOVES(c) && watched[o] != w -> w = watched[o]; shown = 0 :: else fi
#endif
    :: else
    fi;
    if :: (w & IN) && !shown -> settle(o, OWN, (w & EDGE) != 0) :: else fi;
    if :: w & RESTING -> settle(o, REST, 1) :: else fi;
    d_step { w = 0; c = 0; s = 0; ok = 0; shown = 0 }   /* fewer states */
  }
  busy--
}

/* who made it false takes the levels down; where it is true again, the FIFO it emptied is filled anew: an edge besides */
inline read_counter(o) {
  atomic { count[o] = 0; owed[o] = 0; busy++ };
  w = watched[o];
  if :: w & IN -> settle(o, OWN, 1) :: else fi;
  if :: w & RESTING -> settle(o, REST, 1) :: else fi;
  d_step { w = 0; busy-- }
}

proctype Reader() { byte w; read_counter(0); busy-- }

inline reported(o) {
  owed[o] = 0;
  if
  :: MODE(o) != LT -> assert(credit[o] > 0); credit[o]--
  :: else
  fi
}

/* the object shows something, and edge e is to be told by record k: got, if nobody has told it */
inline tell_edge(o, k, e) {
  atomic {
    if
#ifdef TELL_ALWAYS
    :: got && told[RECORD(o, k)] != GONE -> reported(o)
#else
#ifdef TELL_BACKWARDS
    :: got && told[RECORD(o, k)] != GONE && told[RECORD(o, k)] != e + 1 -> told[RECORD(o, k)] = e + 1; reported(o)
#else
    :: got && told[RECORD(o, k)] < e + 1 -> told[RECORD(o, k)] = e + 1; reported(o)
#endif
#endif
    :: else -> got = 0
    fi
  }
}

/* ADD and MOD of a watch that is ready at once */
inline push_if_ready(o) {
  c = cell[o];
  if
#ifdef ADD_WANTS_LIVE
  :: LIVES(c) && count[o] ->
#else
  :: (LIVES(c) || MOVES(c)) && count[o] ->
#endif
       push(o, c);
#ifndef ADD_NO_RAISE
       if :: !LIVES(c) -> settle(o, OWN, 1) :: else fi
#endif
  :: else
  fi
}

/* how often it may be reported, of who asks for it now */
inline allow(o) {
  atomic { if :: MODE(o) == ET -> credit[o]++ :: MODE(o) == ONESHOT -> credit[o] = 1 :: else fi }
}

/* a new record for an edge-triggered watch: the anchor keeps its own */
inline new_record(o) {
  if :: MODE(o) == ET -> cookie[o] = 1; told[RECORD(o, 1)] = 0 :: else fi
}

/* EPOLL_CTL_MOD */
inline modify(o) {
  allow(o);
  atomic {                                              /* CAS, tried again while it fails */
    c = cell[o];
    ok = LIVES(c) || STATE(c) == MOVING;
    if
    :: LIVES(c) -> cell[o] = SET_STATE(c, LIVE); new_record(o)
    :: STATE(c) == MOVING -> cell[o] = c | ANEW; new_record(o)
    :: else
    fi
  };
  if
  :: ok -> push_if_ready(o)
  :: else ->                                            /* the kernel's, if it is anybody's */
       atomic {
         if
         :: STATE(c) == MOVED || own[o] == USER ->
              watched[o] = watched[o] | KERNEL_MARKS(o);
              settle(o, OWN, 0);
              resting[o] = 0; told[RECORD(o, cookie[o])] = GONE;
              control(o, set_of[o] - 1, USER, 1)
         :: else
         fi
       }
  fi
}

/* the program that is told: it may read, or not */
inline program(o) {
  if
  :: MODE(o) == LT -> if :: read_counter(o) :: skip fi
#ifdef ONCE
  :: MODE(o) == ONESHOT                                 /* it is still at it */
#else
  :: MODE(o) == ONESHOT -> if :: read_counter(o) :: skip fi; modify(o)
#endif
  :: else
  fi
}

inline evaluate(o) {
#ifdef EDGES_LATE
  d_step { got = count[o]; if :: got && MODE(o) == LT -> reported(o) :: else fi };
  e = edges[o]
#else
  e = edges[o];
  d_step { got = count[o]; if :: got && MODE(o) == LT -> reported(o) :: else fi }
#endif
}

/* compare-and-swap of LIVE; who fails has nothing to report, or looks again */
inline fire(o) {
  atomic {
    if
    :: STATE(cell[o]) == LIVE -> cell[o] = SET_STATE(cell[o], FIRED); reported(o)
    :: else -> got = 0
    fi
  }
}

/* takes watch o from the private list; got: it is reported */
inline pop(o) {
  c = cell[o];
  got = 0;
#ifdef LATE_CLEAR
  k = cookie[o];
  if :: STATE(c) == LIVE && FRONT(c) == self -> evaluate(o) :: else fi;
  if :: got && MODE(o) == LT -> skip
  :: else ->
       mine[self] = mine[self] & ~(1 << o);
       atomic { c = cell[o]; cell[o] = c & ~LISTED };
       if
       :: got && MODE(o) == ONESHOT -> fire(o)
       :: got && MODE(o) == ET -> tell_edge(o, k, e)
       :: else
       fi
  fi;
#else
  if
  :: MODE(o) == LT && STATE(c) == LIVE && FRONT(c) == self -> evaluate(o)
  :: else
  fi;
  if
  :: got                                                /* stays listed */
  :: else ->
       mine[self] = mine[self] & ~(1 << o);
#ifdef POP_LOOKS_FIRST
       atomic { k = cookie[o]; cell[o] = cell[o] & ~LISTED };
#else
#ifdef FIRE_FIRST
       if :: MODE(o) == ONESHOT && STATE(c) == LIVE && count[o] -> got = 1; fire(o) :: else fi;
#endif
       atomic { c = cell[o]; k = cookie[o]; cell[o] = c & ~LISTED };   /* first open the door ... */
#endif
       if                                               /* ... then look */
       :: STATE(c) == LIVE && FRONT(c) == self -> evaluate(o)
       :: else
       fi;
       if
       :: got && MODE(o) == LT ->
            c = c & ~LISTED;
            atomic { if :: cell[o] == c -> cell[o] = c | LISTED; mine[self] = mine[self] | 1 << o :: else fi }
       :: got && MODE(o) == ONESHOT -> fire(o)
       :: got && MODE(o) == ET -> tell_edge(o, k, e)
       :: else
       fi
  fi;
#endif
  if :: got -> program(o) :: else fi
}

/* what the kernel has to tell with a cookie, or with the user's data */
#define TELLS_COOKIE(o, class) ((class == REST -> resting[o] : own[o] == COOKIE) && event[FIFO(o, class)])
#define TELLS_USER(o) (own[o] == USER && \
	(MODE(o) == LT -> level[FIFO(o, OWN)] : (MODE(o) == ET -> event[FIFO(o, OWN)] : (armed[o] && level[FIFO(o, OWN)]))))
#define READY(o, f) (set_of[o] == 1 + f && (TELLS_USER(o) || TELLS_COOKIE(o, OWN) || TELLS_COOKIE(o, REST)))

/* an event that bears cookie k; got: it is reported */
inline translate(o, k, class) {
  push(o, c);
  if
  :: LIVES(c)                                           /* for the front to tell */
  :: told[RECORD(o, k)] == GONE
#ifndef ANCHOR_TELLS
  :: MOVES(c) && (MODE(o) != ET || k != cookie[o])
#endif
  :: else ->
       e = edges[o];
       if
       :: count[o] ->
            got = 1;
            tell_edge(o, k, e);
            if :: got && MODE(o) == ONESHOT -> control(o, set_of[o] - 1, OFF, 0) :: else fi
       :: else -> settle(o, class, 0)
       fi
  fi
}

inline from_kernel(o, f) {
  got = 0;
  if
  :: atomic { set_of[o] == 1 + f && TELLS_USER(o) ->
       event[FIFO(o, OWN)] = 0; armed[o] = 0;
       if
       :: count[o] -> reported(o); got = 1
       :: else -> assert(busy > 0 || MODE(o) == ET)     /* a stale level, and nobody who takes it down */
       fi }
  :: atomic { set_of[o] == 1 + f && TELLS_COOKIE(o, OWN) -> event[FIFO(o, OWN)] = 0; k = data[o] }; translate(o, k, OWN)
  :: atomic { set_of[o] == 1 + f && TELLS_COOKIE(o, REST) -> event[FIFO(o, REST)] = 0; k = data[o] }; translate(o, k, REST)
  :: else
  fi;
  if :: got -> program(o) :: else fi
}

#define RESET d_step { c = 0; w = 0; got = 0; s = 0; ok = 0; e = 0; k = 0 }   /* fewer states */

proctype Loop(bit self) {
  byte c, w, e; bit got, s, ok, k;
end:
  do
  :: atomic {
       RESET;
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
               from_kernel(1, self);
               if :: banned[self] -> goto plain :: else fi
          fi
     :: banned[self] -> goto plain                      /* at the next call, at the latest */
     fi
  od;

  /* without the front: what is on its list is not looked at any more */
plain:
  atomic { RESET; asleep[self] = 1 };
endplain:
  atomic { bell[self] || READY(0, self) || READY(1, self) -> bell[self] = 0; asleep[self] = 0 };
  from_kernel(0, self);
  from_kernel(1, self);
  goto plain
}

/* onto a FIFO of its own, of which the level is down until the next write */
inline rest(o, f) {
  atomic { watched[o] = watched[o] | RESTING };
#ifdef SETTLE_RESTING
  settle(o, REST, 0);
#endif
  control(o, f, OFF, 0);
  atomic { data[o] = k; resting[o] = 1; event[FIFO(o, REST)] = level[FIFO(o, REST)] };
#ifndef NO_LAST_EDGE
  if :: told[RECORD(o, k)] != edges[o] + 1 -> settle(o, REST, 1) :: else fi
#endif
}

inline register_own(o, f) {
  atomic {
    data[o] = k;
    if
    :: MODE(o) == ET -> control(o, f, COOKIE, 0)
    :: else -> control(o, f, USER, STATE(c) == LIVE)
    fi
  }
}

inline mark(o) { atomic { watched[o] = watched[o] | KERNEL_MARKS(o) } }

/* one watch becomes the kernel's */
inline demote(o, f) {
  do
  :: c = cell[o];
     if
     :: LIVES(c) && FRONT(c) == f ->
#ifndef MARKS_LATE
          mark(o);
#endif
          atomic {                                      /* CAS */
            ok = cell[o] == c;
            if :: ok -> cell[o] = SET_STATE(c, MOVING); k = cookie[o] :: else fi
          };
          if :: ok -> break :: else fi
     :: else -> ok = 0; break
     fi
  od;
#ifdef DEMOTE_LOOKS_LATE
  if :: ok -> c = SET_STATE(cell[o], STATE(c)) :: else fi;
#endif
  if
  :: ok ->
       got = MODE(o) == ET && !(c & LISTED);            /* it was told */
#ifdef DROP_PENDING
       if :: MODE(o) != ET -> settle(o, OWN, 0) :: else fi;
#else
       if :: !got -> settle(o, OWN, 0) :: else fi;
#endif
#ifdef MARKS_LATE
       mark(o);
#endif
       if
#ifndef SHARED                                          /* its FIFO with others: then there is none of its own */
       :: got -> rest(o, f)
#else
       :: got -> register_own(o, f)
#endif
       :: else -> register_own(o, f)
       fi;
       do
       :: atomic {
            c = cell[o];
            if
#ifndef NO_SECOND_TURN
            :: STATE(c) == MOVING && (c & ANEW) -> cell[o] = c & ~ANEW; k = cookie[o]; c = SET_STATE(c, LIVE)
            :: STATE(c) == MOVING && !(c & ANEW) -> cell[o] = SET_STATE(c, MOVED); break
#else
            :: STATE(c) == MOVING -> cell[o] = SET_STATE(c, MOVED); break
#endif
            :: STATE(c) != MOVING -> break              /* deleted */
            fi
          };
          resting[o] = 0;
          mark(o);
          settle(o, OWN, 0);
          register_own(o, f)
       od;
       if :: MODE(o) != ET || cookie[o] -> told[RECORD(o, 0)] = GONE :: else fi
  :: else
  fi
}

/* fork, a second waiter, ...: the front as a whole */
proctype Demoter() {
  byte c, w, e; bit ok, s, got, k;
  banned[0] = 1;
  demote(0, 0);
  demote(1, 0);
  atomic { taken[0] = 1; bell[0] = 0 };
  d_step { RESET; busy-- }
#ifdef SECOND_WAITER
  /* sleeps beside the loop, and takes any event of the set from it */
end:
  do
  :: atomic { READY(0, 0) -> busy++ }; from_kernel(0, 0); atomic { RESET; busy-- }
  :: atomic { READY(1, 0) -> busy++ }; from_kernel(1, 0); atomic { RESET; busy-- }
  od
#endif
}

/* EPOLL_CTL_ADD of a free cell's object */
inline add(o, f) {
  allow(o);
  s = banned[f];
  if
  :: !s ->
       atomic { watched[o] = watched[o] | FRONTS_MARKS(o) & COUNTED };
       atomic { data[o] = cookie[o]; told[RECORD(o, cookie[o])] = 0; control(o, f, COOKIE, 0) }   /* the anchor */
  :: else
  fi;
  atomic {                                              /* CAS */
    c = cell[o];
#ifdef REUSE_LISTED
    ok = STATE(c) == FREE && !s;
    if :: ok -> cell[o] = CELL(CLAIMED, f) :: else fi
#else
    ok = STATE(c) == FREE && !s && (!(c & LISTED) || FRONT(c) == f);
    if :: ok -> cell[o] = CELL(CLAIMED, f) | (c & LISTED) :: else fi
#endif
  };
  if
  :: ok ->
       atomic { cell[o] = SET_STATE(cell[o], LIVE) };
#ifdef ADD_LOOKS_FIRST
       push_if_ready(o);
       atomic { watched[o] = watched[o] | FAST }
#else
       atomic { watched[o] = watched[o] | FAST };
       push_if_ready(o)
#endif
#ifndef NO_BAN_LOOK
       ;
       if :: banned[f] -> demote(o, f) :: else fi
#endif
  :: else ->
       atomic { set_of[o] = 0; own[o] = NONE; told[RECORD(o, cookie[o])] = GONE };
       mark(o);
       settle(o, OWN, 0);
       control(o, f, USER, 1)
  fi
}

proctype Adder(bit o; bit f) {
  byte c, w, e; bit ok, s, got, k;
  add(o, f);
  d_step { RESET; busy-- }
}

proctype Modifier(bit o) {
  byte c, w, e; bit ok, s, got, k;
  modify(o);
  d_step { RESET; busy-- }
}

/* EPOLL_CTL_DEL from the first front, ADD to the last one */
proctype Mover(bit o) {
  byte c, w, e; bit ok, s, got, k;
  atomic { set_of[o] = 0; own[o] = NONE };
  atomic { cell[o] = SET_STATE(cell[o], FREE) };
  atomic { told[RECORD(o, 0)] = GONE; cookie[o] = 1 };
  add(o, FRONTS - 1);
  d_step { RESET; busy-- }
}

#ifdef ONCE
#define ENOUGH(o) (MODE(o) == ONESHOT && !credit[o])
#else
#define ENOUGH(o) false
#endif
#define ASLEEP(f) (asleep[f] && !bell[f] && !READY(0, f) && !READY(1, f))

/* an edge-triggered watch has told what there was */
inline begin_fast(o) {
  told[RECORD(o, 0)] = (MODE(o) == ET -> 1 : 0);
  cell[o] = CELL(LIVE, 0); watched[o] = FRONTS_MARKS(o); set_of[o] = 1; own[o] = COOKIE;
  if :: MODE(o) == ONESHOT -> credit[o] = 1 :: else fi
}

init {
  byte i;
  atomic {
    for (i : 1 .. FRONTS) { run Loop(i - 1) };
#ifdef ADD
    busy++; run Adder(0, 0);
#else
    begin_fast(0);
#endif
    if :: OBJECTS > 1 -> begin_fast(1) :: else fi;
    for (i : 1 .. NW) { busy++; run Writer(i % OBJECTS) };
#if READERS
    for (i : 1 .. READERS) { busy++; run Reader() };
#endif
#ifdef DEMOTE
    busy++; run Demoter();
#endif
#ifdef MODIFY
    busy++; run Modifier(0);
#endif
#ifdef MOVE
    busy++; run Mover(0);
#endif
  };
  /* nothing moves any more: nothing may be left unreported, nor fast on a banned front */
  i = 0;
  (busy == 0 && ASLEEP(0) && ASLEEP(FRONTS - 1));
  assert(!(banned[0] && LIVES(cell[0]) && FRONT(cell[0]) == 0));
  assert(!(count[0] && MODE0 != ET && !ENOUGH(0)) && !(owed[0] && MODE0 == ET));
  assert(!(count[1] && MODE1 != ET && !ENOUGH(1)) && !(owed[1] && MODE1 == ET))
}
