Feature: The events

  Scenario: The engine ran the workflow to its end
    When the workflow is finished
    Then the engine logs should contain "workflow completed successfully"

  Scenario: The events are there and close
    When the workflow is finished
    Then the workspace should include "physics/combine/combined_delphes.h5"
    And the workspace should include "physics/combine/cutflow.json"
    And the file "physics/combine/cutflow.json" should contain "generated"
    And the file "physics/combine/closure.json" should contain "closes"
    And the size of the file "physics/combine/combined_delphes.h5" should be between "10 KiB" and "100 GiB"

  Scenario: It did not take too long
    When the workflow is finished
    Then the workflow run duration should be less than 2880 minutes
    And the duration of the step "combine" should be less than 480 minutes
