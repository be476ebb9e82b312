import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.Pipe;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;

/** Four threads hand a turn round in a ring, 50,000 times, each by Selector.wakeup of the next. */
public final class Wakeups {
    private static final int THREADS = 4;
    private static final int TURNS = 50_000;

    private final Selector[] selectors = new Selector[THREADS];
    private final Pipe[] pipes = new Pipe[THREADS];
    private final int[] turns = new int[THREADS];
    private final int[] bytes = new int[THREADS];
    private final AtomicInteger turn = new AtomicInteger();
    private volatile Throwable failure;

    private Wakeups() throws IOException {
        for (int i = 0; i < THREADS; i++) {
            selectors[i] = Selector.open();
            pipes[i] = Pipe.open();
            pipes[i].source().configureBlocking(false);
            pipes[i].source().register(selectors[i], SelectionKey.OP_READ);
        }
    }

    /** Every hundredth turn also comes with a byte in a pipe: a file descriptor of the kernel's. */
    private void passOn(int now) throws IOException {
        int next = (now + 1) % THREADS;
        if (now % 100 == 0)
            pipes[next].sink().write(ByteBuffer.wrap(new byte[] {1}));
        turn.set(now + 1);
        selectors[next].wakeup();
    }

    private void takeBytes(int me) throws IOException {
        if (selectors[me].selectedKeys().isEmpty())
            return;
        selectors[me].selectedKeys().clear();
        int got = pipes[me].source().read(ByteBuffer.allocate(16));
        bytes[me] += Math.max(got, 0);
    }

    private void play(int me) {
        try {
            for (int now = turn.get(); now < TURNS; now = turn.get()) {
                if (now % THREADS != me) {
                    selectors[me].select();
                    takeBytes(me);
                    continue;
                }
                turns[me]++;
                passOn(now);
            }
            passTheEndOn(me);
        } catch (Throwable thrown) {
            failure = thrown;
        }
    }

    private void passTheEndOn(int me) throws IOException {
        selectors[(me + 1) % THREADS].wakeup();
        selectors[me].selectNow();
        takeBytes(me);
    }

    private void run() throws Exception {
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < THREADS; i++) {
            int me = i;
            threads.add(new Thread(() -> play(me)));
        }
        for (Thread thread : threads)
            thread.start();
        for (Thread thread : threads)
            thread.join();
        if (failure != null)
            throw new AssertionError(failure);
        int sum = 0;
        for (int i = 0; i < THREADS; i++) {
            if (turns[i] != TURNS / THREADS)
                throw new AssertionError("thread " + i + " had " + turns[i] + " turns");
            sum += bytes[i];
        }
        if (sum != TURNS / 100)
            throw new AssertionError(sum + " bytes came through the pipes");
        System.out.println(TURNS + " wake-ups across " + THREADS + " threads, " + sum + " bytes");
    }

    public static void main(String[] args) throws Exception {
        new Wakeups().run();
    }
}
