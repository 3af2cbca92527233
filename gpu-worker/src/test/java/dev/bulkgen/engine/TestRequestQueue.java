package dev.bulkgen.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Lines of several submitting threads. */
@Timeout(60)
class TestRequestQueue {
  private final RequestQueue queue = new RequestQueue(8);

  private final Map<Job<?>, String> names = new ConcurrentHashMap<>();

  private Job<?> job(String name) {
    Job<?> job = new Job<Completion>(1);
    names.put(job, name);
    return job;
  }

  private Thread submit(String name, int count) {
    Thread thread =
        new Thread(
            () -> {
              for (int i = 0; i < count; i++) {
                queue.put(job(name + i));
              }
            },
            name);
    thread.start();
    return thread;
  }

  private static void awaitBlocked(Thread thread) throws InterruptedException {
    while (thread.getState() != Thread.State.WAITING) {
      Thread.sleep(1);
    }
  }

  @Test
  void testOneThreadsJobsKeepTheirOrder() {
    Job<?> first = job("a");
    Job<?> second = job("b");
    queue.put(first);
    queue.put(second);
    assertEquals(2, queue.size());
    assertSame(first, queue.poll());
    assertSame(second, queue.poll());
    assertNull(queue.poll());
  }

  @Test
  void testAThreadThatFillsTheQueueDoesNotHoldAnotherUp() throws InterruptedException {
    Thread greedy = submit("greedy", 100);
    awaitBlocked(greedy);
    Thread modest = submit("modest", 3);
    modest.join();
    List<String> served = new ArrayList<>();
    for (int i = 0; i < 6; i++) {
      served.add(names.get(queue.poll()));
    }
    assertEquals(List.of("greedy0", "modest0", "greedy1", "modest1", "greedy2", "modest2"), served);
    while (greedy.isAlive()) {
      queue.poll();
    }
    greedy.join();
  }

  @Test
  void testLinesShareThePlaces() throws InterruptedException {
    Thread first = submit("first", 100);
    awaitBlocked(first);
    Thread second = submit("second", 100);
    awaitBlocked(second);
    assertEquals(8 + 4, queue.size(), "the first came alone, the second gets its half");
    List<Job<?>> all = queue.drain();
    assertEquals(12, all.size());
    while (first.isAlive() || second.isAlive()) {
      queue.drain();
    }
  }
}
