// What relay-compiler compiles. The programs import what it makes of them.
import { graphql } from "relay-runtime";

export const modelConfigs = graphql`
  query documentsModelConfigsQuery {
    modelConfigs(first: 100) {
      edges {
        node {
          id
          alias
          model
          version
        }
      }
    }
  }
`;

export const createModelConfig = graphql`
  mutation documentsCreateModelConfigMutation($input: CreateModelConfigInput!) {
    createModelConfig(input: $input) {
      __typename
      ... on CreateModelConfigPayload {
        modelConfig {
          id
          alias
          model
          version
        }
      }
      ... on AliasTaken {
        message
        path
      }
    }
  }
`;

export const modelConfigChanged = graphql`
  subscription documentsModelConfigChangedSubscription($by: [ModelConfigRef!]) {
    modelConfigChanged(by: $by) {
      __typename
      revision
      ... on ModelConfigSnapshot {
        modelConfigs {
          id
          alias
          model
          version
        }
      }
      ... on ModelConfigChange {
        put {
          id
          alias
          model
          version
        }
        removed {
          id
          alias
        }
      }
    }
  }
`;
