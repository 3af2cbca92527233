package dev.bulkgen.spark.storage;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.hadoop.conf.Configuration;

/**
 * What goes wrong in a {@link FaultyFileSystem}, by the name that stands as the authority in its
 * paths: {@code faulty://NAME/folder} renames, {@code faultystore://NAME/folder} puts whole
 * objects.
 */
public final class Faults {
  /** What changes something, in the order it is counted. */
  public enum Act {
    CREATE,
    WRITE,
    CLOSE,
    RENAME,
    DELETE,
    MAKE_FOLDER
  }

  /** How an act fails. */
  public enum Effect {
    /** Nothing happens, and the caller is told. */
    FAIL,
    /** It happens, but the caller is told that it failed. */
    DONE_BUT_FAIL,
    /** Nothing happens, but the caller is told that it did. */
    CLAIM,
    /** The disk is full. */
    NO_SPACE
  }

  /** The process is gone: everything it still tries fails too. */
  public static final class Crash extends IOException {
    private static final long serialVersionUID = 1L;

    Crash() {
      super("the process has crashed");
    }
  }

  private record Fault(Act act, String name, Effect effect) {}

  /** What is done while another act waits: a second writer, a reader. */
  @FunctionalInterface
  public interface Meanwhile {
    void run() throws Exception;
  }

  private static final Map<String, Faults> BY_NAME = new ConcurrentHashMap<>();

  private final List<Fault> faults = new ArrayList<>();
  private final List<String> acts = new ArrayList<>();
  private int crashAt = -1;
  private boolean crashAfter;
  private boolean crashed;
  private Act slow;
  private Meanwhile meanwhile;

  private Faults() {}

  public static Faults named(String name) {
    return BY_NAME.computeIfAbsent(name, key -> new Faults());
  }

  /** Knows both schemes. */
  public static Configuration configuration() {
    Configuration configuration = new Configuration(false);
    install(configuration);
    return configuration;
  }

  public static void install(Configuration configuration) {
    configuration.set("fs.faulty.impl", FaultyFileSystem.class.getName());
    configuration.set("fs.faultystore.impl", FaultyFileSystem.Store.class.getName());
  }

  /** The process dies right before the act of this number, counted from 0. */
  public synchronized Faults crashBefore(int act) {
    crashAt = act;
    crashAfter = false;
    return this;
  }

  /** The process dies right after it, without hearing of it. */
  public synchronized Faults crashAfter(int act) {
    crashAt = act;
    crashAfter = true;
    return this;
  }

  /** The next act of this kind on a file of whose name this is a part fails so, once. */
  public synchronized Faults once(Act act, String name, Effect effect) {
    faults.add(new Fault(act, name, effect));
    return this;
  }

  /** Runs something in the middle of the next act of this kind. */
  public synchronized Faults during(Act act, Meanwhile what) {
    slow = act;
    meanwhile = what;
    return this;
  }

  /** A new process: nothing goes wrong from here on, and acts are counted anew. */
  public synchronized void heal() {
    faults.clear();
    acts.clear();
    crashAt = -1;
    crashed = false;
    slow = null;
  }

  /** What was done so far. */
  public synchronized List<String> acts() {
    return List.copyOf(acts);
  }

  /** Throws in a process that has died. */
  synchronized void live() throws IOException {
    if (crashed) {
      throw new Crash();
    }
  }

  /**
   * Counts an act that is about to happen.
   *
   * @return how it fails; null if it does not
   */
  Effect before(Act act, String name) throws IOException {
    Meanwhile now = null;
    synchronized (this) {
      live();
      if (crashAt == acts.size() && !crashAfter) {
        crashed = true;
        throw new Crash();
      }
      acts.add(act + " " + name);
      if (act == slow) {
        now = meanwhile;
        slow = null;
      }
    }
    if (now != null) {
      run(now);
    }
    synchronized (this) {
      for (Fault fault : faults) {
        if (fault.act() == act && name.contains(fault.name())) {
          faults.remove(fault);
          return fault.effect();
        }
      }
      return null;
    }
  }

  private static void run(Meanwhile what) throws IOException {
    try {
      what.run();
    } catch (IOException | RuntimeException e) {
      throw e;
    } catch (Exception e) {
      throw new IOException(e);
    }
  }

  /** Called when it has happened. */
  synchronized void after() throws IOException {
    if (crashAfter && crashAt == acts.size() - 1) {
      crashed = true;
    }
    live();
  }
}
