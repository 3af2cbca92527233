package dev.bulkgen.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TestHostCpu {

  @Test
  void testOnlyAKnownLackIsToldOf() {
    assertEquals(Optional.empty(), HostCpu.warning(Optional.of(true)));
    assertEquals(Optional.empty(), HostCpu.warning(Optional.empty()));
    String lack = HostCpu.warning(Optional.of(false)).orElseThrow();
    assertTrue(lack.contains("BigDecimal") && lack.contains("processor with FMA"), lack);
  }

  /** A JVM that is told to do without gives the answer of a processor without. */
  @ParameterizedTest
  @ValueSource(strings = {"-XX:-UseFMA", "-XX:+UseFMA"})
  void testTheJvmIsAsked(String option) throws Exception {
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                option,
                "-cp",
                System.getProperty("java.class.path"),
                Asks.class.getName())
            .start();
    assertTrue(process.waitFor(60, TimeUnit.SECONDS));
    String said = new String(process.getInputStream().readAllBytes());
    // A processor that has none cannot be given one.
    boolean has = option.equals("-XX:+UseFMA") && HostCpu.warning().isEmpty();
    assertEquals(has ? "fast" : "slow", said.strip());
  }

  static final class Asks {
    private Asks() {}

    public static void main(String[] arguments) {
      System.out.println(HostCpu.warning().isPresent() ? "slow" : "fast");
    }
  }
}
